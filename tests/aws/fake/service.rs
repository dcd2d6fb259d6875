//! What an operation is, and which service answers it.

use serde_json::Value;

use super::input::Input;
use super::world::World;
use super::{autoscaling, cloudwatch, codedeploy, ec2, elb, iam, sts};

pub type Answer = Result<Value, ApiError>;

/// A refusal, as the wire names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl ApiError {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// One operation: its name, the parameters that it knows, and what it does.
pub struct Operation {
    pub name: &'static str,
    /// `Filters[].Name` names one parameter; `Tags*` allows everything below, because it is stored and given back whole.
    pub knows: &'static [&'static str],
    pub run: fn(&mut World, &Input) -> Answer,
}

impl Operation {
    /// The first parameter that the operation does not know.
    pub fn unknown(&self, input: &Input) -> Option<String> {
        let known = |path: &String| {
            self.knows.iter().any(|known| match known.strip_suffix('*') {
                Some(stem) => path.starts_with(stem),
                // An empty list comes as a name with an empty value.
                None => path == known || known.strip_suffix("[]").is_some_and(|stem| stem == path),
            })
        };
        input.paths().into_iter().find(|path| path != "Action" && path != "Version" && !known(path))
    }
}

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Query { version: &'static str, namespace: &'static str },
    Ec2,
    Json { target: &'static str },
}

/// One service.
pub struct Service {
    /// Its name in the scope of a signature.
    pub name: &'static str,
    pub protocol: Protocol,
    pub operations: &'static [&'static [Operation]],
}

impl Service {
    pub fn operation(&self, action: &str) -> Option<&'static Operation> {
        self.operations.iter().flat_map(|part| part.iter()).find(|operation| operation.name == action)
    }
}

pub const SERVICES: &[Service] = &[
    Service {
        name: "autoscaling",
        protocol: Protocol::Query {
            version: "2011-01-01",
            namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        },
        operations: autoscaling::OPERATIONS,
    },
    Service {
        name: "elasticloadbalancing",
        protocol: Protocol::Query {
            version: "2015-12-01",
            namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        },
        operations: elb::OPERATIONS,
    },
    Service {
        name: "sts",
        protocol: Protocol::Query {
            version: "2011-06-15",
            namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
        },
        operations: sts::OPERATIONS,
    },
    Service {
        name: "monitoring",
        protocol: Protocol::Query {
            version: "2010-08-01",
            namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
        },
        operations: cloudwatch::OPERATIONS,
    },
    Service {
        name: "iam",
        protocol: Protocol::Query {
            version: "2010-05-08",
            namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
        },
        operations: iam::OPERATIONS,
    },
    Service { name: "ec2", protocol: Protocol::Ec2, operations: ec2::OPERATIONS },
    Service {
        name: "codedeploy",
        protocol: Protocol::Json { target: "CodeDeploy_20141006." },
        operations: codedeploy::OPERATIONS,
    },
];

pub const EC2_VERSION: &str = "2016-11-15";
