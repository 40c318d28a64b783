//! The two lowest rooms of vedetta, alone: they need few crates, and optimising these takes seconds where that of the
//! whole library takes minutes.
//!
//! Invariants: the sources of the product itself, compiled once more.

#[path = "../../src/model/mod.rs"]
pub mod model;
#[expect(unused_imports, reason = "what only other rooms use")]
#[cfg_attr(test, expect(dead_code, reason = "what only their tests use"))]
#[path = "../../src/near/mod.rs"]
pub mod near;
