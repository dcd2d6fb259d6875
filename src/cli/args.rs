//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::journal::Address;
use crate::model::{BadName, EnvironmentName, GroupId, Revision, RolloutId, ServiceName, Span, StrategyName};

/// Blue/green rollouts that refuse to finish while any target group is missing.
#[derive(Debug, Parser)]
#[command(name = "deployer", version, about, max_term_width = 110, after_help = super::exit_help())]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Global {
    /// The folder of the deployment files: `SERVICE.yaml` each
    #[arg(
        long,
        short,
        global = true,
        value_name = "DIR",
        default_value = "deployments",
        env = "DEPLOYER_CONFIG"
    )]
    pub config: PathBuf,
    /// Which environment of the file; its default one otherwise
    #[arg(long, short, global = true, value_name = "NAME", env = "DEPLOYER_ENVIRONMENT")]
    pub environment: Option<EnvironmentName>,
    /// Where the journal is kept: `file:DIR`, `s3://BUCKET/PREFIX` or `oss://BUCKET/PREFIX`; else the file's `store`,
    /// else `file:.deployer/journal`
    #[arg(long, global = true, value_name = "URL", env = "DEPLOYER_STORE")]
    pub store: Option<Address>,
    /// Read logs that are not signed, though a journal key is set: such as began before there was one
    #[arg(long, global = true, env = "DEPLOYER_ALLOW_UNSIGNED")]
    pub allow_unsigned: bool,
    /// Where this host's own state is kept: the local backend, who is driving
    #[arg(long, global = true, value_name = "DIR", env = "DEPLOYER_STATE", default_value = ".deployer")]
    pub state: PathBuf,
    /// How results are printed
    #[arg(long, short, global = true, value_name = "FORM", default_value = "text", env = "DEPLOYER_OUTPUT")]
    pub output: Output,
    /// Print without colour, as `NO_COLOR` does
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Whether to report to GitHub Actions: outputs, summary and annotations, where `GITHUB_ACTIONS` is `true`
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", env = "DEPLOYER_GITHUB")]
    pub github: Github,
    /// What the tool logs about itself, such as `debug` or `deployer=trace`
    #[arg(long, global = true, value_name = "FILTER", env = "DEPLOYER_LOG", default_value = "off")]
    pub log: String,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One document at the end.
    Json,
    /// One event a line, as it happens.
    Ndjson,
}

/// Whether to report to GitHub Actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Github {
    /// In a step of a job.
    Auto,
    /// Never.
    Off,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Deploy a service beside the running one, prove every target group, and switch
    Rollout(Rollout),
    /// Show what a rollout would do, and what it refuses
    Plan(PlanArgs),
    /// Show where the rollouts stand
    Status(Status),
    /// Say why a rollout does not go on
    Why(One),
    /// End the hold that a rollout waits in
    Promote(Promote),
    /// Make no further step until `resume`
    Pause(Ordered),
    /// Go on: after a pause, an interruption or a crash
    Resume(Resume),
    /// Stop a rollout and go back to blue
    Abort(Ordered),
    /// Go back: to blue while it stands, else to the last completed revision
    Rollback(Rollback),
    /// Give the fleets of a service their scaling back, where a rollout could not
    Thaw(Thaw),
    /// List the rollouts of a service
    History(History),
    /// Show one rollout, event by event
    Show(Show),
    /// Check deployment files: every fault, with its line
    Validate(Validate),
    /// Print the JSON Schema of a deployment file
    Schema,
    /// Look for what would go wrong with a rollout, and say how to mend it; changes nothing
    Doctor(One),
    /// Print the permissions that a rollout needs, for exactly what the file says
    #[command(subcommand)]
    Policy(Policy),
    /// Write a deployment file from a service that runs, with every target group found
    Init(Init),
    /// Rehearse a rollout of your own file on a simulated, faulty cloud
    Drill(Drill),
    /// Look after the services that run on this host
    #[command(subcommand)]
    Local(Local),
    /// Look after the journal
    #[command(subcommand)]
    Journal(Journal),
    /// Print a shell's completions
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// The sample service
    #[command(hide = true, disable_help_flag = true)]
    Sample {
        /// How it should fail
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

impl Verb {
    /// The services that a verb names; none where it is about all, or about no journal.
    pub fn services(&self) -> Vec<ServiceName> {
        let one = |service: &ServiceName| vec![service.clone()];
        match self {
            Self::Rollout(args) => args.services.clone(),
            Self::Plan(args) => one(&args.service),
            Self::Status(args) => args.service.iter().cloned().collect(),
            Self::Why(args) | Self::Doctor(args) => one(&args.service),
            Self::Thaw(args) => one(&args.service),
            Self::Policy(Policy::Aws(args) | Policy::Ram(args)) => one(&args.service),
            Self::Promote(args) => one(&args.order.service),
            Self::Pause(args) | Self::Abort(args) => one(&args.service),
            Self::Resume(args) => one(&args.order.service),
            Self::Rollback(args) => args.services.clone(),
            Self::History(args) => one(&args.service),
            Self::Show(args) => match &args.which {
                Which::Last(service) => one(service),
                Which::One(id) => one(&id.service),
            },
            Self::Drill(args) => one(&args.service),
            Self::Journal(Journal::Verify { service } | Journal::Compact(Compact { service, .. })) => {
                service.iter().cloned().collect()
            }
            Self::Validate(_)
            | Self::Init(_)
            | Self::Schema
            | Self::Local(_)
            | Self::Completions { .. }
            | Self::Man { .. }
            | Self::Sample { .. } => Vec::new(),
        }
    }
}

/// What a rollout is asked for, beyond the file.
#[derive(Debug, Clone, Default, Args)]
pub struct Wish {
    /// One of the file's strategies; its default one otherwise
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<StrategyName>,
    /// What to deploy; the file's revision otherwise
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<Revision>,
    #[command(flatten)]
    pub exceptions: Exceptions,
}

/// Groups that are treated otherwise than the file says.
#[derive(Debug, Clone, Default, Args)]
pub struct Exceptions {
    /// Expect this target group too, though the file does not declare it
    #[arg(long, value_name = "GROUP")]
    pub amend: Vec<GroupId>,
    /// Let this target group go dark; recorded, with the reason
    #[arg(long, value_name = "GROUP", requires = "reason")]
    pub waive: Vec<GroupId>,
    /// Why a group is waived, or an older release allowed
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
    /// How long a waiver counts
    #[arg(long, value_name = "DURATION", default_value = "24h", requires = "waive")]
    pub until: Span,
}

/// How long to wait for others.
#[derive(Debug, Clone, Args)]
pub struct Patience {
    /// Stay and watch while paused or waiting for `promote`, for at most this long
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub wait_promote: Span,
}

/// `rollout`.
#[derive(Debug, Args)]
pub struct Rollout {
    /// The services: one after the other, or `--parallel`
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<ServiceName>,
    /// All services at once, or so many
    #[arg(long, value_name = "N", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "not given, given alone, and given with a number are three things"
    )]
    pub parallel: Option<Option<NonZeroUsize>>,
    /// What becomes of the other services where one does not complete
    #[arg(long, value_name = "WHAT", default_value = "finish")]
    pub on_failure: OnFailure,
    #[command(flatten)]
    pub wish: Wish,
    #[command(flatten)]
    pub patience: Patience,
    /// Follow this plan, written by `plan --out`, and refuse if the world has moved
    #[arg(long, value_name = "FILE", conflicts_with_all = ["strategy", "revision", "amend", "waive"])]
    pub plan: Option<PathBuf>,
    /// Wait this long for another rollout of the service to end
    #[arg(long, value_name = "DURATION", default_value = "0s", num_args = 0..=1, default_missing_value = "15m")]
    pub wait_lock: Span,
    /// Begin although the way back of the last rollout is stuck: nothing leads back to its blue any more
    #[arg(long)]
    pub abandon: bool,
    /// Do not ask, even if the plan has remarks
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub sequence: Sequence,
}

/// What becomes of the other services where one does not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// Those under way go on to their end, and no other begins.
    Finish,
    /// All of them go on, and the others begin in their turn.
    Continue,
    /// Those under way stop at a safe point and can be resumed, and no other begins.
    Stop,
}

/// Which release it is.
#[derive(Debug, Clone, Default, Args)]
pub struct Sequence {
    /// The release's number, such as a commit's time: one that is older than a completed one is refused; in GitHub
    /// Actions the run's number otherwise
    #[arg(long = "sequence", value_name = "NUMBER", env = "DEPLOYER_SEQUENCE")]
    pub number: Option<u64>,
    /// Let an older release take the place of a newer one; recorded, with the reason
    #[arg(long, requires = "reason")]
    pub allow_older: bool,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The service
    pub service: ServiceName,
    #[command(flatten)]
    pub wish: Wish,
    #[command(flatten)]
    pub sequence: Sequence,
    /// Write the plan to a file for `rollout --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 3 where the plan would change something
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The service; all of them otherwise
    pub service: Option<ServiceName>,
    /// Follow the rollout until it ends
    #[arg(long, short, requires = "service")]
    pub watch: bool,
}

/// A verb on one service.
#[derive(Debug, Args)]
pub struct One {
    /// The service
    pub service: ServiceName,
}

/// A verb that gives an order.
#[derive(Debug, Args)]
pub struct Ordered {
    /// The service
    pub service: ServiceName,
    /// Leave the order in the journal and return at once
    #[arg(long)]
    pub detach: bool,
}

/// `promote`.
#[derive(Debug, Args)]
pub struct Promote {
    #[command(flatten)]
    pub order: Ordered,
    #[command(flatten)]
    pub patience: Patience,
    /// End every later hold too
    #[arg(long)]
    pub full: bool,
}

/// `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    pub order: Ordered,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub exceptions: Exceptions,
    /// Take over even if its driver seems alive; that one stops, and names who took over
    #[arg(long)]
    pub take_over: bool,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The services, all at once
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<ServiceName>,
    /// Leave the order in the journal and return at once
    #[arg(long)]
    pub detach: bool,
    /// The revision to go back to, where blue is gone already
    #[arg(long, value_name = "REVISION")]
    pub to: Option<Revision>,
    /// Where blue is gone already, go back by one of the file's strategies, with its holds and the file's bake; in one step
    /// and without a bake otherwise
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<StrategyName>,
    #[command(flatten)]
    pub exceptions: Exceptions,
}

/// `thaw`.
#[derive(Debug, Args)]
pub struct Thaw {
    /// The service
    pub service: ServiceName,
    /// Even while a rollout is open that no process of this host drives, or the journal does not tell: its fleets may then scale
    /// under it
    #[arg(long)]
    pub anyway: bool,
}

/// `history`.
#[derive(Debug, Args)]
pub struct History {
    /// The service
    pub service: ServiceName,
    /// How many, the newest first
    #[arg(long, short = 'n', default_value_t = 20)]
    pub limit: usize,
}

/// `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The rollout, as reports name it (`api/local/7`); or a service, for its last one
    #[arg(value_name = "ROLLOUT")]
    pub which: Which,
}

/// A rollout or a service, as typed.
#[derive(Debug, Clone)]
pub enum Which {
    /// The last rollout of a service.
    Last(ServiceName),
    /// This one.
    One(RolloutId),
}

impl std::str::FromStr for Which {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [service] => service.parse().map(Self::Last).map_err(|bad: BadName| bad.to_string()),
            [service, environment, number] => {
                let named = |bad: BadName| bad.to_string();
                let number = number.parse().map_err(|_| format!("{number:?} is not a rollout's number"))?;
                let (service, environment) =
                    (service.parse().map_err(named)?, environment.parse().map_err(named)?);
                Ok(Self::One(RolloutId { service, environment, number }))
            }
            _ => Err("write SERVICE or SERVICE/ENVIRONMENT/NUMBER, such as api/local/7".into()),
        }
    }
}

/// `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// The files; every one of the folder otherwise
    pub files: Vec<PathBuf>,
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// An IAM policy for AWS, as JSON
    Aws(PolicyArgs),
    /// A RAM policy for Alibaba Cloud, as JSON
    Ram(PolicyArgs),
}

/// `policy aws` and `policy ram`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// The service
    pub service: ServiceName,
    /// Only what `plan`, `doctor` and `status` need
    #[arg(long)]
    pub read_only: bool,
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// What the service is to be called
    pub service: ServiceName,
    /// From this Auto Scaling group
    #[arg(long, value_name = "NAME", group = "from", required_unless_present_any = ["from_codedeploy", "from_edas"])]
    pub from_asg: Option<String>,
    /// From this CodeDeploy deployment group
    #[arg(long, value_name = "APPLICATION/GROUP", group = "from")]
    pub from_codedeploy: Option<String>,
    /// From this EDAS application; of two on Kubernetes from both, with a comma between them
    #[arg(long, value_name = "ID or NAME", group = "from")]
    pub from_edas: Option<String>,
    /// The region; the one of the cloud's own configuration otherwise
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// `drill`.
#[derive(Debug, Args)]
pub struct Drill {
    /// The service
    pub service: ServiceName,
    /// How many rehearsals, each with its own faults
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: u64,
    /// Rehearse this one seed and print its timeline
    #[arg(long, conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// One of the file's strategies; its default one otherwise
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<StrategyName>,
    /// Only these faults (or `none`); all of them otherwise
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub faults: Option<Vec<String>>,
}

/// `local`.
#[derive(Debug, Subcommand)]
pub enum Local {
    /// Show fleets, instances and target groups
    Status,
    /// Print an instance's last lines
    Logs {
        /// The instance, as `local status` names it
        instance: String,
        /// How many lines
        #[arg(long, short = 'n', default_value_t = 100)]
        lines: usize,
    },
    /// Stop everything that runs here
    Stop,
    /// Hold the fleets and serve the groups; started by itself
    #[command(hide = true)]
    Supervise,
}

/// `journal`.
#[derive(Debug, Subcommand)]
pub enum Journal {
    /// Check every entry of every rollout
    Verify {
        /// Only this service
        service: Option<ServiceName>,
    },
    /// Pack the logs of rollouts that were over long ago into one object each; nothing that they say is lost
    Compact(Compact),
}

/// `journal compact`.
#[derive(Debug, Args)]
pub struct Compact {
    /// Only this service
    pub service: Option<ServiceName>,
    /// Only what has been over for this long, at least 7d
    #[arg(long, value_name = "DURATION", default_value = "90d")]
    pub older_than: Span,
    /// Leave this many of the newest rollouts of each environment as they are
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub keep: usize,
    /// Only say what would be packed
    #[arg(long)]
    pub dry_run: bool,
}

/// A reason is one line that people can read, and one that cannot forge another line.
fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 500 || text.chars().any(char::is_control) {
        return Err("give one line of 1 to 500 characters".into());
    }
    Ok(text.to_owned())
}
