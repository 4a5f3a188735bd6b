//! What is bounded, at its bound and one past it; what is owed to those who proved nothing; what is left when all is done.

mod amplification;
mod caller;
mod idle;
mod memory;
mod path;
mod rates;
