//! Conformance cases as data, and their runner.
