//! Virtual clock, seeded network, machine laws and counting allocator for tests.
