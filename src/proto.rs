//! The generated code of `proto/vedetta/v1`, and its descriptors.
//!
//! Not here: anything written by hand.

/// The API, package `vedetta.v1`.
#[expect(missing_docs, reason = "generated; the protos document it")]
#[allow(
    clippy::allow_attributes,
    clippy::doc_markdown,
    clippy::too_many_lines,
    rustdoc::all,
    unused_qualifications,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("vedetta.v1");
}

/// The serialised `FileDescriptorSet` of the API, which reflection serves.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vedetta.v1.bin"));
