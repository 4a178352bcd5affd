#![doc = include_str!("ARCHITECTURE.md")]

pub mod time;
pub mod draw;
pub mod text;
pub mod source;
pub mod diagnostic;
pub mod yaml;
pub mod resource;
pub mod scenario;
pub mod mesh;
pub mod routing;
pub mod workload;
pub mod record;
pub mod sim;
pub mod staging;
pub mod conformance;
pub mod report;
