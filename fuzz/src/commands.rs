//! What an application asks of a connection of the Streaming Message Protocol, made from fuzz input.

use crate::{Payload, arguments};
use arbitrary::Arbitrary;
use smp_framing::machine::{Command, ConnectionMachine, ErrorReport, Input, UsageError};
use smp_framing::{Arguments, UserCode};
use wirekit::{Instant, Machine};
