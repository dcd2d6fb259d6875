//! Where a service lives on Alibaba Cloud.

use std::collections::BTreeSet;

use super::client::Product;
use super::survey::product_of;
use crate::cloud::Change;
use crate::model::{FleetId, ServiceName};
use crate::spec::{DeployGroups, EdasFleets, EdasSpec, Kubernetes};

/// One service as its deployment file describes it.
#[derive(Debug)]
pub(super) struct Home {
    /// The service.
    pub service: ServiceName,
    /// What the file says.
    pub spec: EdasSpec,
}

/// A service whose fleets are deploy groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ecs<'a> {
    /// The service.
    pub home: &'a Home,
    /// Its fleets.
    pub own: &'a DeployGroups,
}

/// A service whose fleets are applications on Kubernetes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kube<'a> {
    /// The service.
    pub home: &'a Home,
    /// Its fleets.
    pub own: &'a Kubernetes,
}

/// What a service's fleets are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// Deploy groups.
    Ecs(Ecs<'a>),
    /// Applications on Kubernetes.
    Kube(Kube<'a>),
}

impl Home {
    /// What its fleets are.
    pub fn kind(&self) -> Kind<'_> {
        match &self.spec.fleets {
            EdasFleets::Groups(own) => Kind::Ecs(Ecs { home: self, own }),
            EdasFleets::Kubernetes(own) => Kind::Kube(Kube { home: self, own }),
        }
    }

    /// Its fleets, where they are applications on Kubernetes.
    pub fn kubernetes(&self) -> Option<&Kubernetes> {
        match &self.spec.fleets {
            EdasFleets::Groups(_) => None,
            EdasFleets::Kubernetes(own) => Some(own),
        }
    }

    /// The application whose deploy groups the fleets are; none on Kubernetes.
    pub fn application(&self) -> Option<&str> {
        match &self.spec.fleets {
            EdasFleets::Groups(own) => Some(&own.application),
            EdasFleets::Kubernetes(_) => None,
        }
    }

    /// The products that a change of ours moves something in: any, where a group is none of the file's.
    pub fn touched(&self, change: &Change) -> BTreeSet<Product> {
        let groups = match change {
            Change::Provision { .. } | Change::Freeze { .. } | Change::Thaw { .. } => return BTreeSet::new(),
            Change::Register { groups, .. } | Change::Deregister { groups, .. } => groups.iter().collect(),
            Change::Shift { group, .. } => vec![group],
        };
        let product = |id| self.spec.groups.get(id).map(|group| product_of(&group.servers));
        let touched: Option<BTreeSet<_>> = groups.into_iter().map(product).collect();
        touched.unwrap_or_else(|| [Product::Alb, Product::Nlb, Product::Clb].into())
    }

    /// Whether the fleet is one of the two that alternate.
    pub fn is_ours(&self, fleet: &FleetId) -> bool {
        self.spec.pair().iter().any(|name| name == fleet.as_str())
    }
}
