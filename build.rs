//! Compiles the protos without protoc: protox parses them, tonic-prost-build generates from the descriptors.

use std::error::Error;
use std::path::Path;

use protox::prost::Message;

const PROTOS: [&str; 7] = [
    "vedetta/v1/options.proto",
    "vedetta/v1/common.proto",
    "vedetta/v1/cache.proto",
    "vedetta/v1/watch.proto",
    "vedetta/v1/events.proto",
    "vedetta/v1/sessions.proto",
    "vedetta/v1/status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    // Served by reflection, and read by the tests that send the behaviour table.
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(
        Path::new(&out).join("vedetta.v1.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
