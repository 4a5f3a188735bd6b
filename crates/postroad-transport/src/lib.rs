//! Carriers for the postroad protocols: TCP, Unix sockets, memory, TLS and WebSocket, one feature each.
