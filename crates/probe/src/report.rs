//! What a run reports: findings, how it went, and the settings that follow. It holds no id, no name, no address, no
//! token, no host and nothing of any record, so that it can be published.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::findings::resume_is_proven;
use crate::run::completed;
use crate::step::{Resource, Step};
use crate::transcript::Transcript;

/// What is known of one unknown after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The row of contract (j), such as `j.7`, or `a.3`.
    pub row: &'static str,
    /// What it leaves open.
    pub question: &'static str,
    /// A word for what was observed; none when it can't be told.
    pub observed: Option<String>,
    /// What else was seen, or why it can't be told.
    pub detail: String,
    /// What the client does, whichever way the truth lies.
    pub client: &'static str,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum End {
    /// Everything that was meant to be asked was asked.
    Complete,
    /// Something failed on the way, and what it would have told is open.
    Partial,
    /// Other jobs were queued or all places were taken for as long as was waited, so that no job was created.
    Busy,
    /// A job had not ended when time or polls were used up. It goes on at the service.
    Deadline,
    /// The service refused a creation for a use limit.
    UseLimit,
}

/// Settings of a profile that follow from what was observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProfileSettings {
    /// Whether downloads may resume by `Range`: only where it was seen to work, with a validator (contract (j.19)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_downloads: Option<bool>,
    /// When to poll first: half of what the quickest of our jobs took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_interval_seconds: Option<u64>,
}

impl ProfileSettings {
    fn of(transcript: &Transcript) -> Self {
        let took = [Resource::Activities, Resource::Contacts].into_iter().filter_map(|resource| {
            let job = completed(transcript, resource)?;
            let (created, ended) = (job.time("job_created_time")?, job.time("job_end_time")?);
            Duration::try_from(created.duration_until(ended)).ok()
        });
        // Below a few seconds the wire's whole seconds tell nothing, and the default of 1 s is right.
        let poll = took.min().map(|took| (took.as_secs() / 2).min(60)).filter(|seconds| *seconds > 1);
        let asked = transcript.reply(Step::Range).is_some();
        Self {
            resume_downloads: (asked && resume_is_proven(transcript)).then_some(true),
            poll_interval_seconds: poll,
        }
    }

    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The settings as lines of `backstory.toml`, each with its reason.
    pub fn to_toml(&self) -> String {
        let mut lines = String::new();
        if let Some(resume) = self.resume_downloads {
            lines += &format!(
                "# A part of a result can be had by its bytes, and proven (j.19).\nresume_downloads = {resume}\n"
            );
        }
        if let Some(seconds) = self.poll_interval_seconds {
            lines += &format!(
                "# The quickest job of one day took about {} s.\npoll_interval = \"{seconds}s\"\n",
                2 * seconds
            );
        }
        if lines.is_empty() {
            lines += "# Nothing was observed that calls for other settings than the defaults.\n";
        }
        lines
    }
}

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it went.
    pub end: End,
    /// How many requests were sent; at most 30.
    pub requests: u32,
    /// How many export jobs were asked for; at most 2. A refused creation counts.
    pub jobs: u32,
    /// A finding for each row, in their order.
    pub findings: Vec<Finding>,
    /// The settings that follow.
    pub profile: ProfileSettings,
}

impl Report {
    pub(crate) fn new(
        end: End,
        transcript: &Transcript,
        findings: Vec<Finding>,
        is_sensitive: impl Fn(&str) -> bool,
    ) -> Self {
        let findings = findings.into_iter().map(|finding| withhold(finding, &is_sensitive)).collect();
        let (requests, jobs) = (transcript.notes.sent, transcript.notes.jobs_asked_for);
        Self { end, requests, jobs, findings, profile: ProfileSettings::of(transcript) }
    }

    /// The finding of a row, such as `j.7`.
    pub fn finding(&self, row: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.row == row)
    }

    /// How many findings tell something.
    pub fn told(&self) -> usize {
        self.findings.iter().filter(|finding| finding.observed.is_some()).count()
    }

    /// The report as a page of Markdown, which can be published.
    pub fn to_markdown(&self) -> String {
        let mut page = format!(
            "# What a Backstory service was seen to do\n\nReported by `backstory probe` {}: {} of {} unknowns told, {} requests, {} export jobs; the run was {}.\n\n\
             | row | unknown | observed | what was seen | what the client does |\n|---|---|---|---|---|\n",
            env!("CARGO_PKG_VERSION"),
            self.told(),
            self.findings.len(),
            self.requests,
            self.jobs,
            self.end,
        );
        for finding in &self.findings {
            let observed =
                finding.observed.as_deref().map_or("can't tell".to_owned(), |word| format!("`{word}`"));
            let cell = |text: &str| text.replace('|', "\\|");
            page += &format!(
                "| {} | {} | {observed} | {} | {} |\n",
                finding.row,
                cell(finding.question),
                cell(&finding.detail),
                cell(finding.client)
            );
        }
        page += "\nIt holds no id, name, address, token, host or content of a record.\n";
        page
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Complete => "complete",
            Self::Partial => "partial: something failed on the way",
            Self::Busy => "partial: other jobs were in the way",
            Self::Deadline => "partial: a job had not ended in time",
            Self::UseLimit => "partial: a use limit refused a job",
        })
    }
}

/// The last line of defence: findings hold nothing that the service sent but words of a fixed vocabulary; should one
/// hold an id, a host or a token all the same, it is withheld.
fn withhold(mut finding: Finding, is_sensitive: impl Fn(&str) -> bool) -> Finding {
    if is_sensitive(&finding.detail) {
        finding.detail = "(withheld: it would repeat an id or an address)".to_owned();
    }
    finding.observed = finding.observed.filter(|word| !is_sensitive(word));
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(observed: &str, detail: &str) -> Finding {
        let (observed, detail) = (Some(observed.to_owned()), detail.to_owned());
        Finding { row: "j.7", question: "a|b", observed, detail, client: "sorts" }
    }

    #[test]
    fn what_may_not_be_told_is_withheld() {
        let secrets = |text: &str| text.contains("100042") || text.contains("api.example");
        assert_eq!(withhold(finding("newest-first", "3 jobs"), secrets), finding("newest-first", "3 jobs"));
        assert!(withhold(finding("a", "job 100042"), secrets).detail.starts_with("(withheld"));
        assert_eq!(withhold(finding("at api.example", ""), secrets).observed, None);
    }

    #[test]
    fn the_page_has_a_row_for_each_finding_and_no_broken_cell() {
        let findings = vec![finding("newest-first", "by 3 jobs")];
        let report = Report {
            end: End::Complete,
            requests: 7,
            jobs: 2,
            findings,
            profile: ProfileSettings::default(),
        };
        let page = report.to_markdown();
        assert!(page.contains("| j.7 | a\\|b | `newest-first` | by 3 jobs | sorts |"), "{page}");
        assert!(page.contains("1 of 1 unknowns told, 7 requests, 2 export jobs"), "{page}");
    }

    #[test]
    fn settings_are_written_with_their_reasons_and_their_absence_is_told() {
        let settings = ProfileSettings { resume_downloads: Some(true), poll_interval_seconds: Some(20) };
        let toml = settings.to_toml();
        assert!(
            toml.contains("resume_downloads = true") && toml.contains("poll_interval = \"20s\""),
            "{toml}"
        );
        assert!(ProfileSettings::default().is_empty());
        assert!(ProfileSettings::default().to_toml().starts_with("# Nothing"));
    }
}
