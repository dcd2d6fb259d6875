//! What takes its time: things that are busy with something else, and jobs that a product carries out after its answer.

use std::time::Duration;

use tokio::time::sleep;

use super::api::{alb, nlb};
use super::client::{Client, Product};
use super::home::Home;
use super::memory::Memory;
use crate::cloud::{Fault, FaultKind, clock};

/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Everything that a change needs at hand.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub client: &'a Client,
    pub home: &'a Home,
    pub memory: &'a Memory,
    /// Names the change.
    pub token: &'a str,
}

impl Site<'_> {
    /// Asks again while the thing is busy with something else, for the time that one call may take.
    ///
    /// # Errors
    /// The last fault.
    pub async fn patiently<T, R>(self, mut work: impl FnMut() -> R) -> Result<T, Fault>
    where
        R: Future<Output = Result<T, Fault>>,
    {
        let (begun, mut pause) = (clock::now(), PAUSE);
        loop {
            match work().await {
                Err(fault)
                    if fault.kind == FaultKind::Conflict
                        && !fault.ambiguous
                        && clock::now().since(begun) < self.home.spec.call_timeout =>
                {
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                answer => return answer,
            }
        }
    }

    /// Waits until a job is done, for the time that one call may take: what is left of it then is seen in the next look.
    ///
    /// # Errors
    /// A job that failed.
    pub async fn done(self, product: Product, job: Option<String>) -> Result<(), Fault> {
        let Some(id) = job else { return Ok(()) };
        let (begun, usual) = (clock::now(), self.client.turns().usual(product));
        // In silence for most of the time that the last job took.
        sleep(PAUSE.max(usual * 7 / 8)).await;
        let mut pause = PAUSE.max(usual / 8);
        while clock::now().since(begun) < self.home.spec.call_timeout {
            let answer = if product == Product::Nlb {
                nlb::job(self.client, &id).await
            } else {
                alb::job(self.client, &id).await
            };
            let job = match answer {
                // One that was begun just now need not be known yet.
                Err(fault) if fault.kind == FaultKind::Missing => None,
                answer => {
                    // An NLB answers the question itself with the error of a job that failed.
                    if answer.as_ref().is_err_and(|fault| !is_unheard(fault.kind)) {
                        self.client.ended(&id);
                    }
                    // Whatever becomes of the question, the job goes on.
                    answer.map_err(Fault::ambiguous)?
                }
            };
            let status = job.as_ref().and_then(|job| job.status.as_deref());
            if matches!(status, Some("Succeeded" | "Failed")) {
                self.client.ended(&id);
            }
            match status {
                Some("Succeeded") => {
                    self.client.turns().took(product, clock::now().since(begun).into());
                    return Ok(());
                }
                Some("Failed") => return Err(failed(product, &id, job.as_ref())),
                _ => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }
}

/// Whether a question was not heard at all, so that nothing can be said of what it was about.
fn is_unheard(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Throttled | FaultKind::Unreachable | FaultKind::Denied)
}

/// Waits until what was written can be read, for the time that one call may take: a reading that comes late would make
/// whoever goes by it do the same again, or undo nothing. What is not there then is seen in the next look.
///
/// # Errors
/// The reading's fault; what was written stays written.
pub(super) async fn shown<R>(home: &Home, mut is_there: impl FnMut() -> R) -> Result<(), Fault>
where
    R: Future<Output = Result<bool, Fault>>,
{
    let there = || {
        let reading = is_there();
        async { Ok(reading.await?.then_some(())) }
    };
    found(home, there).await.map(drop)
}

/// The same, and gives what was waited for.
///
/// # Errors
/// As [`shown`].
pub(super) async fn found<T, R>(home: &Home, mut find: impl FnMut() -> R) -> Result<Option<T>, Fault>
where
    R: Future<Output = Result<Option<T>, Fault>>,
{
    let (begun, mut pause) = (clock::now(), PAUSE);
    loop {
        let found = find().await.map_err(Fault::ambiguous)?;
        if found.is_some() || clock::now().since(begun) >= home.spec.call_timeout {
            return Ok(found);
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn failed(product: Product, id: &str, job: Option<&alb::Job>) -> Fault {
    let said = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let code =
        said(job.and_then(|job| job.error_code.as_ref())).unwrap_or_else(|| "no reason given".to_owned());
    let words = said(job.and_then(|job| job.error_message.as_ref())).unwrap_or_default();
    let action = if product == Product::Nlb { "GetJobStatus" } else { "ListAsynJobs" };
    Fault::new(FaultKind::Conflict, action, format!("the job `{id}` failed: {code} {words}").trim_end())
        .ambiguous()
}
