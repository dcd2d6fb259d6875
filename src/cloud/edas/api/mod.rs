//! The operations of each product, with their parameters and answers as far as they are used.

#![expect(clippy::struct_field_names, reason = "the fields are called as the products call them")]

pub mod alb;
pub mod application;
pub mod clb;
pub mod ecs;
pub mod edas;
pub mod ess;
pub mod k8s;
pub mod nlb;
mod page;
pub mod pool;
