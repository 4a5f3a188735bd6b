//! Message protocols over any road: one URL, one message API.
