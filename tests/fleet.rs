//! The pure parts of `benches/fleet`, by value: a benchmark has no harness that would run tests of its own.

#[path = "../benches/fleet/costs.rs"]
mod costs;
#[path = "fleet/costs_tests.rs"]
mod costs_tests;
#[path = "../benches/fleet/simulation.rs"]
mod simulation;
#[path = "fleet/simulation_tests.rs"]
mod simulation_tests;
#[path = "../benches/fleet/turns.rs"]
mod turns;
#[path = "fleet/turns_tests.rs"]
mod turns_tests;
