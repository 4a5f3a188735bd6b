//! Streaming Message Protocol 1.0-DRAFT: codec, framer, reassembler and connection machine, with an optional tokio driver.
