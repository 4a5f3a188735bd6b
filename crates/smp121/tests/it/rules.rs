//! The rules of section 2.5.1, each kept and each tried to break.

mod acknowledging;
mod congestion;
mod flushing;
mod order;
mod resending;
mod window;
