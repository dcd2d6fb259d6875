//! The cloud that a deployment file names.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cloud::aws::AwsBackend;
use crate::cloud::edas::EdasBackend;
use crate::cloud::local::LocalBackend;
use crate::cloud::{Backend, Capability, Change, Fault, Floor, Leeway, Scope};
use crate::coverage::Retirement;
use crate::model::{FleetId, Inventory, Token};
use crate::spec::{Provider, Spec};

/// Any cloud. The port's calls are not object-safe, so they are handed on by name.
pub enum AnyBackend {
    /// Processes on this host.
    Local(LocalBackend),
    /// Auto Scaling groups behind load balancers.
    Aws(Box<AwsBackend>),
    /// Deploy groups of EDAS behind load balancers.
    Edas(Box<EdasBackend>),
}

impl AnyBackend {
    /// The backend of a deployment file. Makes no call.
    ///
    /// # Errors
    /// A state folder that cannot be used.
    pub fn of(spec: &Spec, state: &Path) -> Result<Self, Fault> {
        match &spec.provider {
            Provider::Local(local) => {
                let backend = LocalBackend::new(spec.service.clone(), local.clone(), &state.join("local"))?;
                Ok(Self::Local(backend))
            }
            Provider::Aws(aws) => {
                let (service, environment) = (spec.service.clone(), spec.environment.clone());
                Ok(Self::Aws(Box::new(AwsBackend::new(service, environment, aws.clone()))))
            }
            Provider::Edas(edas) => {
                Ok(Self::Edas(Box::new(EdasBackend::new(spec.service.clone(), edas.clone()))))
            }
        }
    }

    /// Gives every fleet of the service its scaling back, and says which had been held still; none where fleets do not
    /// scale by themselves.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn thaw_all(&self) -> Result<Option<BTreeSet<FleetId>>, Fault> {
        match self {
            Self::Local(_) => Ok(None),
            Self::Aws(backend) => backend.thaw_all().await.map(Some),
            Self::Edas(backend) => backend.thaw_all().await.map(Some),
        }
    }
}

impl Backend for AnyBackend {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        match self {
            Self::Local(backend) => backend.look(scope).await,
            Self::Aws(backend) => backend.look(scope).await,
            Self::Edas(backend) => backend.look(scope).await,
        }
    }

    async fn look_with(&self, scope: &Scope, leeway: &Leeway) -> Result<Inventory, Fault> {
        match self {
            Self::Local(backend) => backend.look_with(scope, leeway).await,
            Self::Aws(backend) => backend.look_with(scope, leeway).await,
            Self::Edas(backend) => backend.look_with(scope, leeway).await,
        }
    }

    async fn floor(&self, moved: bool) -> Floor {
        match self {
            Self::Local(backend) => backend.floor(moved).await,
            Self::Aws(backend) => backend.floor(moved).await,
            Self::Edas(backend) => backend.floor(moved).await,
        }
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        match self {
            Self::Local(backend) => backend.change(change, token).await,
            Self::Aws(backend) => backend.change(change, token).await,
            Self::Edas(backend) => backend.change(change, token).await,
        }
    }

    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        match self {
            Self::Local(backend) => backend.retire(proof, token).await,
            Self::Aws(backend) => backend.retire(proof, token).await,
            Self::Edas(backend) => backend.retire(proof, token).await,
        }
    }

    fn capability(&self) -> Capability {
        match self {
            Self::Local(backend) => backend.capability(),
            Self::Aws(backend) => backend.capability(),
            Self::Edas(backend) => backend.capability(),
        }
    }
}
