//! `CloudWatch`'s alarms: read as they stand, so that one can be made like another down to what we do not know of.

use super::asgs::pages;
use super::query::{Form, Query, Service, Tree};
use crate::cloud::{Fault, FaultKind};

/// `CloudWatch` (botocore's model).
pub(super) const CLOUDWATCH: Service = Service {
    host: "monitoring",
    signed_as: "monitoring",
    version: "2010-08-01",
    variable: "AWS_ENDPOINT_URL_CLOUDWATCH",
    everywhere: false,
};

/// How many alarms one call may name (`CloudWatch` API reference: `AlarmNames`, `MaxRecords`).
const NAMES_MAX: usize = 100;

/// `CloudWatch`, as far as we need it.
#[derive(Debug, Clone)]
pub(super) struct CloudWatch(pub Query);

/// Alarms of both kinds.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    pub metric: Vec<Tree>,
    pub composite: Vec<Tree>,
}

impl CloudWatch {
    /// Alarms by name, composite ones too. One that does not exist is not among them.
    ///
    /// # Errors
    /// The call's fault; an answer without the list of metric alarms.
    pub async fn alarms(&self, names: &[String]) -> Result<Alarms, Fault> {
        let mut found = Alarms::default();
        for some in names.chunks(NAMES_MAX) {
            let form = Form::new("DescribeAlarms").list("AlarmNames", some.iter().map(String::as_str));
            let form = form.list("AlarmTypes", ["CompositeAlarm", "MetricAlarm"]).with("MaxRecords", "100");
            let all = pages(async |token| {
                let page = self.0.ask_tree(&form.clone().maybe("NextToken", token)).await?;
                let next = page.text("NextToken").map(str::to_owned);
                Ok((vec![page], next))
            });
            for page in all.await? {
                let metric = page.list("MetricAlarms").ok_or_else(|| lacks("DescribeAlarms"))?;
                found.metric.extend(metric.into_iter().cloned());
                // Without a list of its own none is composite: an alarm that is in no list is missing for the caller.
                found.composite.extend(page.list("CompositeAlarms").into_iter().flatten().cloned());
            }
        }
        Ok(found)
    }

    /// The tags of an alarm.
    ///
    /// # Errors
    /// The call's fault; an answer without the list.
    pub async fn tags(&self, arn: &str) -> Result<Vec<(String, String)>, Fault> {
        let action = "ListTagsForResource";
        let answer = self.0.ask_tree(&Form::new(action).with("ResourceARN", arn)).await?;
        let tags = answer.list("Tags").ok_or_else(|| lacks(action))?;
        let pair = |tag: &Tree| {
            Some((tag.text("Key")?.to_owned(), tag.text("Value").unwrap_or_default().to_owned()))
        };
        Ok(tags.into_iter().filter_map(pair).collect())
    }

    /// Makes an alarm, with tags from its first moment on; sent again it makes the same one.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn put(&self, alarm: &Tree, tags: &[(String, String)]) -> Result<(), Fault> {
        let form = alarm.to_form().into_iter();
        let form = form.fold(Form::new("PutMetricAlarm"), |form, (name, value)| form.with(name, value));
        let tagged = tags.iter().enumerate().fold(form, |form, (n, (key, value))| {
            let at = format!("Tags.member.{}", n + 1);
            form.with(format!("{at}.Key"), key).with(format!("{at}.Value"), value)
        });
        self.0.order(&tagged).await
    }

    /// Deletes metric alarms; those that are gone are no fault.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn delete(&self, names: &[String]) -> Result<(), Fault> {
        for some in names.chunks(NAMES_MAX) {
            let form = Form::new("DeleteAlarms").list("AlarmNames", some.iter().map(String::as_str));
            match self.0.order(&form).await {
                Err(fault) if fault.kind == FaultKind::Missing => {}
                answer => answer?,
            }
        }
        Ok(())
    }
}

fn lacks(action: &str) -> Fault {
    Fault::new(FaultKind::Unexpected, action, "an answer without the list that was asked for")
}
