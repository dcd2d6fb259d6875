//! The command line: a file per verb, exit codes, wiring.
//!
//! Promises: stdout holds data and stderr talk; every end has one documented exit code; nothing waits for input unless
//! a person sits at a terminal. Must not decide anything about a rollout.

/// As `std::println!`, which panics where nobody reads: in the middle of a rollout, that would leave it undriven.
macro_rules! println {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), "{}", $crate::cli::github::safe_data(format!($($text)*)));
    }};
}

/// As `std::print!`, for the same reason.
macro_rules! print {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), "{}", $crate::cli::github::safe_data(format!($($text)*)));
    }};
}

/// As `std::eprintln!`, for the same reason.
macro_rules! eprintln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{}", $crate::cli::github::safe(format!($($text)*)));
    }};
}

mod args;
mod back;
mod backend;
mod compact;
mod context;
mod doctor;
mod error;
pub mod exit;
mod files;
mod fitting;
mod github;
mod init;

mod inspect;
mod journal;
mod life;
mod local;
mod orders;
mod plan;
mod policy;

mod rehearse;
mod release;
mod rollout;
mod row;
mod show;
mod thaw;
mod store;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Global, Journal, Local, Policy, Verb};
use context::Context;
use error::CliError;

/// Parses the command line, runs the verb and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli.global.log);
    github::begin(&cli.global, &cli.verb);
    let result = match cli.verb {
        Verb::Schema => files::schema(),
        Verb::Completions { shell } => files::completions(shell),
        Verb::Man { folder } => files::man(&folder),
        Verb::Sample { args } => local::sample(args),
        Verb::Local(Local::Supervise) => local::supervise(&cli.global.state),
        verb => on_runtime(cli.global, verb),
    };
    github::end(&result);
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if !error.text.is_empty() {
                eprintln!("{error}");
            }
            ExitCode::from(error.code)
        }
    }
}

/// One thread is enough to wait on many calls, and starts quicker than a pool.
fn on_runtime(global: Global, verb: Verb) -> Result<u8, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(format!("failed to start: {error}")))?;
    runtime.block_on(async {
        // A second signal leaves at once; the journal makes that as safe as a crash.
        let leave = || {
            github::end(&Ok(exit::INTERRUPTED));
            std::process::exit(i32::from(exit::INTERRUPTED))
        };
        let stop = crate::drive::listen(leave);
        let stop = stop.map_err(|error| CliError::new(format!("failed to listen for signals: {error}")))?;
        Box::pin(run(&Context::new(global, stop, &verb.services())?, verb)).await
    })
}

async fn run(context: &Context, verb: Verb) -> Result<u8, CliError> {
    match verb {
        Verb::Rollout(args) => rollout::rollout(context, args).await,
        Verb::Plan(args) => plan::plan(context, args).await,
        Verb::Status(args) => inspect::status(context, args).await,
        Verb::Why(args) => inspect::why(context, &args.service).await,
        Verb::History(args) => inspect::history(context, args).await,
        Verb::Show(args) => inspect::show(context, args).await,
        Verb::Promote(args) => orders::promote(context, args).await,
        Verb::Pause(args) => orders::pause(context, args).await,
        Verb::Resume(args) => orders::resume(context, args).await,
        Verb::Abort(args) => orders::abort(context, args).await,
        Verb::Rollback(args) => back::rollback(context, args).await,
        Verb::Thaw(args) => thaw::thaw(context, args).await,
        Verb::Drill(args) => rehearse::drill(context, args).await,
        Verb::Doctor(args) => doctor::doctor(context, &args.service).await,
        Verb::Policy(Policy::Aws(args)) => policy::aws(context, &args),
        Verb::Policy(Policy::Ram(args)) => policy::ram(context, &args),
        Verb::Init(args) => init::init(context, args).await,
        Verb::Validate(args) => files::validate(context, &args.files),
        Verb::Local(Local::Status) => local::status(context).await,
        Verb::Local(Local::Logs { instance, lines }) => local::logs(context, &instance, lines).await,
        Verb::Local(Local::Stop) => local::stop(context).await,
        Verb::Journal(Journal::Verify { service }) => journal::verify(context, service.as_ref()).await,
        Verb::Journal(Journal::Compact(args)) => compact::compact(context, &args).await,
        Verb::Schema
        | Verb::Completions { .. }
        | Verb::Man { .. }
        | Verb::Sample { .. }
        | Verb::Local(Local::Supervise) => Err(CliError::new("this verb needs no runtime")),
    }
}

/// The exit codes, at the end of every help text.
fn exit_help() -> String {
    let lines = exit::TABLE.iter().map(|(code, meaning)| format!("  {code:>2}  {meaning}\n"));
    format!("Exit codes:\n{}", lines.collect::<String>())
}

fn start_log(filter: &str) {
    let Ok(filter) = tracing_subscriber::EnvFilter::try_new(filter) else { return };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only this process's first and only call sets it.
    let _ = log.try_init();
}

fn command() -> clap::Command {
    Cli::command()
}
