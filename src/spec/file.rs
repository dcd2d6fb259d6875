//! The whole file: what is shared, what each environment says, and what that makes together.

use std::collections::BTreeMap;
use std::ops::Range;

use super::fault::{Faults, Wrong, gather};
use super::layer::{Layer, Said, undefined};
use super::local::Local;
use super::node::{Kind, Node, listed, parse};
use super::reader::{Fields, Reader};
use super::settled::{Provider, Spec};
use super::settled_aws::AwsSpec;
use super::settled_edas::EdasSpec;
use super::table::FILE;
use super::variable::{Variables, any_value};
use crate::model::{EnvironmentName, Revision, ServiceName, Span, StrategyName};

/// A deployment file as text.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The path as it is shown in errors.
    pub name: &'a str,
    /// What the file holds.
    pub text: &'a str,
}

/// What is asked for beside the file; each takes the place of what the file would choose.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Which environment.
    pub environment: Option<EnvironmentName>,
    /// Which of the file's strategies.
    pub strategy: Option<StrategyName>,
    /// Which revision; the file's own is not looked at then, nor are its variables.
    pub revision: Option<Revision>,
}

/// Reads a file for one environment. A fault in any environment refuses the file; variables are looked up only for
/// the one that is asked for.
///
/// # Errors
/// Every fault of the file, with its line.
pub fn read(source: &Source<'_>, ask: &Ask, variables: &Variables<'_>) -> Result<Spec, Faults> {
    let check = |file: &File, reader: &Reader| {
        let chosen = file.choose(ask, reader);
        for (name, environment) in &file.environments {
            let elsewhere = chosen.as_ref() != Some(name);
            if let (Some(environment), true) = (environment, elsewhere) {
                let _ = file.settle(name, environment, &Ask::default(), &any_value, reader);
            }
        }
        let name = chosen?;
        let environment = file.environments.get(&name)?.as_ref()?;
        file.settle(&name, environment, ask, variables, reader)
    };
    with_file(source, check)
}

/// Checks a file in all its environments, and says what each of them makes of it.
///
/// `variables` decides how much is asked for: a caller that has none of them at hand gives `any_value`.
///
/// # Errors
/// Every fault of the file, with its line.
pub fn validate(
    source: &Source<'_>,
    variables: &Variables<'_>,
) -> Result<BTreeMap<EnvironmentName, Spec>, Faults> {
    let check = |file: &File, reader: &Reader| {
        let mut specs = BTreeMap::new();
        for (name, environment) in &file.environments {
            let Some(environment) = environment else { continue };
            if let Some(spec) = file.settle(name, environment, &Ask::default(), variables, reader) {
                specs.insert(name.clone(), spec);
            }
        }
        (specs.len() == file.environments.len()).then_some(specs)
    };
    with_file(source, check)
}

/// The store that a file names, whatever else stands in it: a journal can be read where its file is no longer right.
#[must_use]
pub fn store(text: &str) -> Option<String> {
    let (root, _) = parse(text).ok()?;
    let Kind::Map(fields) = root.kind else { return None };
    let (_, store) = fields.iter().find(|(key, _)| key.text() == Some("store"))?;
    store.text().map(str::to_owned)
}

/// The environment that a service's file names as the usual one, or the only one there is, whatever else stands in it: an
/// order needs no more. Nothing where it could be meant otherwise.
#[must_use]
pub fn environment(text: &str, service: &ServiceName) -> Option<EnvironmentName> {
    let (root, twice) = parse(text).ok()?;
    let Kind::Map(fields) = root.kind else { return None };
    let said = |name: &str| fields.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, said)| said);
    let of_another = said("service").is_none_or(|said| said.text() != Some(service.as_str()));
    if of_another || !twice.is_empty() {
        return None;
    }
    let Kind::Map(environments) = &said("environments")?.kind else { return None };
    let names: Vec<_> = environments.iter().filter_map(|(key, _)| key.text()).collect();
    let usual = match (said("environment"), names.as_slice()) {
        (Some(usual), _) => usual.text()?,
        (None, [only]) => only,
        (None, _) => return None,
    };
    names.contains(&usual).then(|| EnvironmentName::new(usual).ok()).flatten()
}

fn with_file<T>(source: &Source<'_>, check: impl FnOnce(&File, &Reader) -> Option<T>) -> Result<T, Faults> {
    let reader = Reader::default();
    let root = match parse(source.text) {
        Ok((root, wrong)) => {
            reader.refuse_all(wrong);
            Some(root)
        }
        Err(wrong) => {
            reader.refuse_all(wrong);
            None
        }
    };
    let file = root.and_then(|root| File::read(&root, &reader));
    let made = file.and_then(|file| check(&file, &reader));
    let mut wrong = reader.into_wrong();
    match made {
        Some(made) if wrong.is_empty() => return Ok(made),
        // Whoever gives nothing has said why; should that ever not be so, the file is refused all the same.
        None if wrong.is_empty() => wrong.push(Wrong::new(0..0, "the file could not be read")),
        Some(_) | None => {}
    }
    Err(gather(source.name, source.text, wrong))
}

/// A file with everything read and nothing chosen.
struct File {
    service: Option<ServiceName>,
    usual: Said<EnvironmentName>,
    shared: Layer,
    /// `None` is one that could not be read: its name is taken all the same.
    environments: BTreeMap<EnvironmentName, Option<Environment>>,
    top: Range<usize>,
    environments_at: Range<usize>,
    strategies_at: Range<usize>,
}

struct Environment {
    layer: Layer,
    place: Option<Runs>,
    at: Range<usize>,
}

/// Where it runs, as far as it could be read.
enum Runs {
    Local(Local),
    Aws(Option<AwsSpec>),
    Edas(Option<EdasSpec>),
}

impl Runs {
    /// The provider with its variables filled in. `None` has been refused already.
    fn settle(&self, drain: Span, variables: &Variables<'_>, reader: &Reader) -> Option<Provider> {
        match self {
            Self::Local(local) => {
                let filled = local.fill(drain, variables);
                filled.map_err(|wrong| reader.refuse_all(wrong)).ok().map(Provider::Local)
            }
            Self::Aws(aws) => aws.clone().map(Provider::Aws),
            Self::Edas(edas) => edas.clone().map(Provider::Edas),
        }
    }
}

impl File {
    fn read(root: &Node, reader: &Reader) -> Option<Self> {
        let fields = Fields::open(reader, root, &root.at, &FILE)?;
        // Whoever wants it asks for nothing else of the file; here it is only checked.
        let _ = fields.store("store");
        let mut environments = BTreeMap::new();
        for (key, inside) in fields.named("environments").unwrap_or_default() {
            let environment = inside.map(|fields| settled_in(&fields));
            if let Some(name) = reader.name(key) {
                environments.insert(name, environment);
            }
        }
        let usual: Said<EnvironmentName> = Said::new(&fields, "environment", |node| reader.name(node));
        if let (Said::Is(name, at), false) = (&usual, environments.is_empty())
            && !environments.contains_key(name)
        {
            let names = environments.keys().map(EnvironmentName::as_str);
            reader.refuse(undefined("environment", name.as_str(), names, at));
        }
        Some(Self {
            service: fields.name("service"),
            usual,
            shared: Layer::read(&fields),
            environments,
            top: root.at.clone(),
            strategies_at: fields.key_at("strategies").unwrap_or(root.at.clone()),
            environments_at: fields.key_at("environments").unwrap_or(root.at.clone()),
        })
    }

    /// The environment that is asked for, the file's usual one, or the only one.
    fn choose(&self, ask: &Ask, reader: &Reader) -> Option<EnvironmentName> {
        let names = || self.environments.keys().map(EnvironmentName::as_str);
        let only = self.environments.keys().next()?;
        let wrong = match (&ask.environment, &self.usual) {
            (Some(name), _) if self.environments.contains_key(name) => return Some(name.clone()),
            (Some(name), _) => undefined("environment", name.as_str(), names(), &self.environments_at),
            (None, Said::Is(name, _)) => return Some(name.clone()),
            (None, Said::Broken) => return None,
            (None, Said::Nothing) if self.environments.len() == 1 => return Some(only.clone()),
            (None, Said::Nothing) => {
                let hint =
                    format!("ask for one of {}, or name a usual one as `environment`", listed(names()));
                Wrong::new(self.environments_at.clone(), "no environment is chosen").hint(hint)
            }
        };
        reader.refuse(wrong);
        None
    }

    /// Lays an environment over what is shared, and takes the defaults for what is still open.
    fn settle(
        &self,
        name: &EnvironmentName,
        environment: &Environment,
        ask: &Ask,
        variables: &Variables<'_>,
        reader: &Reader,
    ) -> Option<Spec> {
        let layer = environment.layer.over(&self.shared);
        let revision = match &ask.revision {
            Some(revision) => Some(revision.clone()),
            None => self.revision(&layer, environment, variables, reader),
        };
        let own = environment.layer.has_strategies();
        let at = if own { &environment.at } else { &self.strategies_at };
        let chosen = layer.choose(ask.strategy.as_ref(), at, reader);
        let deadlines = layer.deadlines();
        let provider =
            environment.place.as_ref().and_then(|place| place.settle(deadlines.drain, variables, reader));
        let (strategy, strategies) = chosen?;
        Some(Spec {
            service: self.service.clone()?,
            environment: name.clone(),
            revision: revision?,
            strategy,
            strategies,
            instances: layer.instances,
            settle: layer.settle(),
            bake: layer.bake(),
            quiet: layer.quiet(),
            min_healthy: layer.min_healthy(),
            freeze: layer.freeze(),
            deadlines,
            provider: provider?,
        })
    }

    fn revision(
        &self,
        layer: &Layer,
        environment: &Environment,
        variables: &Variables<'_>,
        reader: &Reader,
    ) -> Option<Revision> {
        let text = match &layer.revision {
            Said::Is(text, _) => text,
            Said::Broken => return None,
            Said::Nothing => {
                // One line at the top mends them all, where none of them has it.
                let silent = |it: &Environment| matches!(it.layer.revision, Said::Nothing);
                let nowhere = self.environments.values().flatten().all(silent);
                let at = if nowhere { &self.top } else { &environment.at };
                let wrong = Wrong::new(at.clone(), "`revision` is missing here");
                reader.refuse(wrong.hint("say what is deployed, such as 1.0.0"));
                return None;
            }
        };
        reader.keep(text.revision(variables))
    }
}

fn settled_in(fields: &Fields<'_>) -> Environment {
    let provider = fields.place("provider");
    let place = provider.and_then(|provider| {
        let local = provider.place("local").map(|fields| Runs::Local(Local::read(&fields)));
        let aws = || provider.place("aws").map(|fields| Runs::Aws(super::aws::read(&fields)));
        let edas = || provider.place("edas").map(|fields| Runs::Edas(super::edas::read(&fields)));
        local.or_else(aws).or_else(edas)
    });
    Environment { layer: Layer::read(fields), place, at: fields.at.clone() }
}
