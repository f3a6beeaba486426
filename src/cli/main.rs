//! (Skeleton.)
fn main() {}
