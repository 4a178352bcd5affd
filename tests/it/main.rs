//! Integration tests, one binary: whole programs and whole files in, bytes out.

mod layers;
mod reading;
mod policies;
