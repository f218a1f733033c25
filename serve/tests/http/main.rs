//! The service from outside: a small real artifact, a server on port 0 in front of it, and a client that can be as rude
//! as a test needs.

mod binary;
mod client;
mod ensemble;
mod grpc;
mod health;
mod hostile;
mod load;
mod model;
mod named;
mod network;
mod novelty;
mod predict;
mod rejections;
mod reload;
mod routes;
mod server;
mod statistics;
mod together;
mod wav;
