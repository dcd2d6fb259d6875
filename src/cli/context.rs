//! What every verb works with: the file, the journal, the clock, and who we are.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;

use super::args::{Global, Output, Wish};
use super::error::CliError;
use super::exit;
use super::row::Lane;
use crate::drive::{Clock, Stop, stopped};
use crate::journal::{AnyStore, Content, Journal, Signing};
use crate::model::{EnvironmentName, RolloutId, ServiceName, Span};
use crate::report::{Account, Timeline};
use crate::rollout::{Actor, Recorded, Rollout, Verdict};
use crate::spec::{self, Spec};

/// The largest deployment file that is read, so that a wrong path cannot fill the memory.
const FILE_MAX: u64 = 2 << 20;

/// How many rollouts are read at the same time.
pub const MANY: usize = 256;

/// What every verb works with.
#[derive(Clone)]
pub struct Context {
    pub global: Global,
    pub clock: Clock,
    pub me: Actor,
    pub journal: Arc<Journal<AnyStore>>,
    remote: bool,
    pub stop: watch::Receiver<Stop>,
    /// Where this is about one of several services at once.
    pub lane: Option<Arc<Lane>>,
}

impl Context {
    /// # Errors
    /// Deployment files that name no store, or more than one; a journal key that is none.
    pub fn new(
        global: Global,
        stop: watch::Receiver<Stop>,
        services: &[ServiceName],
    ) -> Result<Self, CliError> {
        let me = actor();
        let address = super::store::address(&global, services)?;
        let store = AnyStore::at(&address, &me.nonce, &|name| std::env::var(name).ok());
        let remote = store.remote();
        let key = super::store::key(&|name| std::env::var_os(name))?;
        let signing = Signing { key, allow_unsigned: global.allow_unsigned };
        let journal = Journal::new(store, me.nonce.clone()).signing(signing);
        let journal = Arc::new(journal);
        Ok(Self { clock: Clock::system(), me, journal, remote, stop, global, lane: None })
    }

    /// The same world for one of several services.
    pub fn beside(&self, lane: Option<Arc<Lane>>, stop: watch::Receiver<Stop>) -> Self {
        Self { stop, lane, ..self.clone() }
    }

    /// Whether a stop was asked for.
    pub fn stops(&self) -> bool {
        *self.stop.borrow() == Stop::Asked
    }

    /// Waits until a stop is asked for; for ever where nobody asks.
    pub async fn stopped(&self) {
        stopped(self.stop.clone()).await;
    }

    /// Where a service's deployment file is.
    pub fn file(&self, service: &ServiceName) -> PathBuf {
        self.global.config.join(format!("{service}.yaml"))
    }

    /// Reads a service's deployment file.
    ///
    /// # Errors
    /// The file's faults, each with its line.
    pub fn spec(&self, service: &ServiceName, wish: &Wish) -> Result<Spec, CliError> {
        let path = self.file(service);
        let text = read_file(&path).map_err(|error| {
            error.hint(format!(
                "deployment files are `{}/SERVICE.yaml`; name another folder with --config",
                self.global.config.display()
            ))
        })?;
        let name = path.display().to_string();
        let ask = spec::Ask {
            environment: self.global.environment.clone(),
            strategy: wish.strategy.clone(),
            revision: wish.revision.clone(),
        };
        let source = spec::Source { name: &name, text: &text };
        let spec = spec::read(&source, &ask, &|name| std::env::var(name).ok()).map_err(|faults| {
            super::show::talk(self, faults.render(self.colour_err()).trim_end());
            super::github::faults(&faults);
            CliError::shown(exit::USAGE)
        })?;
        if spec.service == *service {
            Ok(spec)
        } else {
            Err(CliError::usage(format!(
                "`{name}` describes the service `{}`, not `{service}`",
                spec.service
            )))
        }
    }

    /// The environment that `--environment` or the service's file names. A file with faults elsewhere names it too: an
    /// order must not wait for them to be mended.
    ///
    /// # Errors
    /// The file's faults, where it is needed.
    pub fn environment(&self, service: &ServiceName) -> Result<EnvironmentName, CliError> {
        if let Some(environment) = &self.global.environment {
            return Ok(environment.clone());
        }
        let path = self.file(service);
        if let Some(environment) = read_file(&path).ok().and_then(|text| spec::environment(&text, service)) {
            return Ok(environment);
        }
        match self.spec(service, &Wish::default()) {
            Ok(spec) => Ok(spec.environment),
            Err(error) if error.text.is_empty() => {
                let text = format!("`{}` does not tell which environment is meant", path.display());
                let hint = "name it with `--environment NAME`, and with `--store URL` the journal where the file named one";
                Err(CliError::usage(text).hint(hint))
            }
            Err(error) => Err(error),
        }
    }

    /// The last rollout of a service.
    pub async fn latest(&self, service: &ServiceName) -> Result<Option<(RolloutId, Rollout)>, CliError> {
        let Some((id, facts)) = self.latest_facts(service).await? else { return Ok(None) };
        Ok(Some((id, fold(&facts)?)))
    }

    /// The last rollout of a service, fact by fact.
    pub async fn latest_facts(
        &self,
        service: &ServiceName,
    ) -> Result<Option<(RolloutId, Vec<Recorded>)>, CliError> {
        let environment = self.environment(service)?;
        let Some(id) = self.journal.latest(service, &environment).await? else { return Ok(None) };
        let facts = self.facts(&id).await?;
        Ok(Some((id, facts)))
    }

    /// A rollout, fact by fact.
    pub async fn facts(&self, id: &RolloutId) -> Result<Vec<Recorded>, CliError> {
        Ok(self.journal.read(id).await?.into_recorded()?)
    }

    /// How long a rollout was in each phase so far.
    pub async fn timeline(&self, id: &RolloutId) -> Result<Timeline, CliError> {
        let account = Account::of(&self.facts(id).await?);
        account
            .map(|account| account.timeline)
            .map_err(|error| crate::drive::OpenError::OutOfOrder(error).into())
    }

    /// What a rollout came to, by its summary or else by its log; `None` while it is open, and of one whose way back
    /// is stuck.
    pub async fn content(&self, id: &RolloutId) -> Result<Option<Content>, CliError> {
        if let Some(summary) = self.journal.summary(id).await? {
            return Ok(Some(summary.content));
        }
        content(&self.facts(id).await?)
    }

    /// What each of these came to, those that are over.
    pub async fn contents(&self, ids: &[RolloutId]) -> Result<Vec<(RolloutId, Content)>, CliError> {
        let read = |id: &RolloutId| {
            let id = id.clone();
            async move { self.content(&id).await.map(|content| content.map(|content| (id, content))) }
        };
        let reads = stream::iter(ids.iter().map(read)).buffered(MANY);
        let all: Vec<_> = reads.try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }

    /// Writes down what a rollout came to, so that a history need not read its log. Nothing depends on success.
    pub async fn sum_up(&self, id: &RolloutId) {
        let written: Result<(), CliError> = async {
            let history = self.journal.read(id).await?;
            let head = history.head.clone();
            match content(&history.into_recorded()?)? {
                Some(content) => Ok(self.journal.sum_up(id, &head, content).await?),
                None => Ok(()),
            }
        }
        .await;
        if let Err(error) = written {
            tracing::debug!(%error, "a rollout was not summed up");
        }
    }

    /// Whether the journal is in a bucket.
    pub fn remote(&self) -> bool {
        self.remote
    }

    /// How often a rollout that another process drives is looked at.
    pub fn follow_every(&self) -> Span {
        if self.remote { Span::secs(1) } else { Span(200) }
    }

    /// How often a driver looks for orders: within a second it obeys, and in two it knows who replaced it.
    pub fn orders_every(&self) -> Span {
        if self.remote { Span(700) } else { Span(100) }
    }

    /// The state of a rollout as its journal tells it.
    pub async fn read(&self, id: &RolloutId) -> Result<Rollout, CliError> {
        fold(&self.facts(id).await?)
    }

    /// Where living drivers of this host leave their mark.
    pub fn presence(&self) -> PathBuf {
        self.global.state.join("run")
    }

    pub fn colour_err(&self) -> bool {
        self.coloured() && std::io::stderr().is_terminal()
    }

    pub fn colour_out(&self) -> bool {
        self.coloured() && std::io::stdout().is_terminal()
    }

    fn coloured(&self) -> bool {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        !self.global.no_color && !refused && !dumb
    }

    pub fn text(&self) -> bool {
        self.global.output == Output::Text
    }

    /// There is no rollout yet, said as an error.
    pub fn none_yet(service: &ServiceName) -> CliError {
        CliError::new(format!("`{service}` has no rollout in this environment"))
            .hint(format!("begin one with `deployer rollout {service}`"))
            .code(exit::ERROR)
    }
}

/// What a log came to, where it did.
fn content(facts: &[Recorded]) -> Result<Option<Content>, CliError> {
    let account =
        Account::of(facts).map_err(|error| CliError::from(crate::drive::OpenError::OutOfOrder(error)))?;
    let (began, last) = (facts.first().map(|fact| fact.at).unwrap_or_default(), account.state.at());
    let state = account.state;
    let (completed, cause) = match state.verdict() {
        Some(Verdict::Completed) => (true, None),
        Some(Verdict::RolledBack { cause }) => (false, Some(cause.to_string())),
        Some(Verdict::Failed { .. }) | None => return Ok(None),
    };
    let plan = state.plan();
    Ok(Some(Content {
        began,
        took: last.since(began),
        purpose: plan.purpose.clone(),
        strategy: plan.strategy.clone(),
        blue: plan.blue.clone(),
        green: plan.green.clone(),
        groups: state.expected().keys().cloned().collect(),
        completed,
        cause,
        driver: state.driver().clone(),
        release: plan.release.clone(),
    }))
}

/// The state that some facts come to.
pub fn fold(facts: &[Recorded]) -> Result<Rollout, CliError> {
    Rollout::fold(facts).map_err(|error| crate::drive::OpenError::OutOfOrder(error).into())
}

/// Reads a text file of reasonable size.
///
/// # Errors
/// What the system says, or that it is too large or not text.
pub fn read_file(path: &std::path::Path) -> Result<String, CliError> {
    let failed = |why: String| CliError::usage(format!("failed to read `{}`: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !meta.is_file() {
        return Err(failed("it is not a file".into()));
    }
    if meta.len() > FILE_MAX {
        return Err(failed(format!(
            "it has {} bytes, and a deployment file has at most {FILE_MAX}",
            meta.len()
        )));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

/// Who we are, as far as the system and the CI tell.
fn actor() -> Actor {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let clean = |text: String| -> String { text.chars().filter(|c| !c.is_control()).take(100).collect() };
    let user = var("GITHUB_ACTOR").or_else(|| var("USER")).or_else(|| var("LOGNAME"));
    let run = || {
        Some(format!(
            "{}/{}/actions/runs/{}",
            var("GITHUB_SERVER_URL")?,
            var("GITHUB_REPOSITORY")?,
            var("GITHUB_RUN_ID")?
        ))
    };
    Actor {
        user: clean(user.unwrap_or_else(nameless)),
        host: clean(host()),
        pid: std::process::id(),
        run_url: run().map(clean),
        nonce: nonce(),
    }
}

/// In a container or under a service manager nobody may have said who we are.
#[cfg(unix)]
fn nameless() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn nameless() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".into())
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "unknown".into())
}

/// A word that no other process has.
#[expect(
    clippy::disallowed_methods,
    reason = "a process's nonce must be like no other's, so no seed is wanted"
)]
pub(super) fn nonce() -> String {
    format!("{:016x}", fastrand::u64(..))
}
