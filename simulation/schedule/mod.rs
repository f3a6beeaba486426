//! The faults of a run: an explicit list, made up front from the seed. It can be printed, read back, replayed and shrunk.
