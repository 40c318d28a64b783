//! Where a random story begins: `VEDETTA_SEED` if it is given, so that what failed can be run again; else by chance.
//!
//! Not here: what a story draws from it, and telling it where the story fails.

/// The seed that was asked for.
///
/// # Panics
/// If it is not a number.
pub(crate) fn given() -> Option<u64> {
    let text = std::env::var_os("VEDETTA_SEED")?;
    let seed = text.to_str().and_then(|text| text.parse().ok());
    Some(seed.expect("VEDETTA_SEED is a number"))
}

/// One seed, and tells which.
pub(crate) fn draw() -> u64 {
    let seed = given().unwrap_or_else(|| rand::random::<u32>().into());
    println!("VEDETTA_SEED={seed}");
    seed
}
