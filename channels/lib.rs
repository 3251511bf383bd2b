//! The adapter contract, the tools adapters share, and the adapters.
