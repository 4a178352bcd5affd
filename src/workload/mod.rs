//! Arrivals and request mixes: who sends which request when.
