//! Everything the repository promises, as commands.
fn main() {}
