//! How often a piece of code allocates.
//!
//! The crate `allocation-counter` installs its counting allocator for the whole binary that this feature is linked into,
//! and counts by thread, so tests beside each other do not disturb the figures. Work that a closure hands to another thread
//! is not counted.

pub use allocation_counter::{AllocationInfo, measure};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocation_of_the_thread_is_counted() {
        let none = measure(|| {
            std::hint::black_box(1 + 1);
        });
        assert_eq!(none.count_total, 0);
        let two = measure(|| {
            std::hint::black_box(vec![0u8; 100]);
            std::hint::black_box(Box::new(7u64));
        });
        assert_eq!((two.count_total, two.bytes_total, two.bytes_current), (2, 108, 0));
    }
}
