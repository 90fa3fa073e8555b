//! The stage of the end-to-end tests and benchmarks: the program, real servers for it to watch, and
//! the places its messages go to. All of it on loopback, bounded by deadlines, and gone when it is
//! dropped.

pub mod api;
pub mod certificates;
pub mod chat_apis;
pub mod clock;
pub mod components;
pub mod contract;
pub mod crash;
pub mod disk;
pub mod dns;
pub mod guarded;
pub mod hostile;
pub mod inbox;
pub mod mailbox;
pub mod names;
pub mod nginx;
pub mod ports;
pub mod process;
pub mod program;
pub mod projects;
pub mod recording_server;
pub mod redis;
pub mod registry;
pub mod runtime;
pub mod scripted;
pub mod signer;
pub mod sockets;
pub mod vendor;
pub mod wait;
mod warm;
pub mod websocket;

pub use api::{Api, Reply};
pub use certificates::Authority;
pub use clock::WallClock;
pub use crash::kill_often;
pub use disk::SmallDisk;
pub use dns::DnsServer;
pub use guarded::Guarded;
pub use hostile::Hostile;
pub use inbox::{Inbox, Mood, Received};
pub use mailbox::{Mail, Mailbox};
pub use names::Names;
pub use nginx::TargetServer;
pub use projects::Project;
pub use recording_server::RecordingServer;
pub use redis::RedisServer;
pub use registry::OciRegistry;
pub use runtime::{Builder, Said, TestRuntime};
pub use scripted::Scripted;
pub use signer::Signer;
pub use sockets::{Dribble, HangingServer, refusing_address};
pub use vendor::Vendor;
pub use wait::{PATIENCE, wait_for};
pub use websocket::WebSocketServer;
