//! The `postroad` command.
fn main() {}
