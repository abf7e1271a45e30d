//! Settings, lowest to highest: defaults, `backstory.toml`, the environment, flags. A secret is never a flag.

mod environment;
mod file;
mod keys;
mod limits;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use backstory_api::{BaseUrl, DEFAULT_BASE_URL};
use jiff::Timestamp;

use crate::args::Common;
use crate::duration;
use crate::exit::Failure;
pub(crate) use environment::Environment;
pub(crate) use keys::{KeyPair, KeySet, Keys, SecretFrom};
pub(crate) use limits::Limits;
pub(crate) use write::Setting;

/// What every command that talks to the service needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) base_url: BaseUrl,
    pub(crate) ca_bundle: Option<PathBuf>,
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) keys: Keys,
    /// The use limits that apply, and our share of the queue.
    pub(crate) limits: Limits,
    /// Whether a download that broke off asks for the rest only.
    pub(crate) resume_downloads: bool,
    /// Where the client's wall clock stands, if it is told to stand.
    now: Option<Timestamp>,
}

impl Settings {
    /// Puts the settings of a run together.
    pub(crate) fn read(common: &Common, environment: &Environment) -> Result<Self, Failure> {
        let profile = file::profile(common, environment)?;
        let base_url = common
            .base_url
            .clone()
            .or_else(|| environment.text("BACKSTORY_BASE_URL"))
            .or(profile.base_url.clone())
            .unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());
        let poll_interval = match (common.poll_interval, environment.text("BACKSTORY_POLL_INTERVAL")) {
            (Some(interval), _) => Some(interval),
            (None, Some(text)) => Some(duration::parse(&text).map_err(|why| {
                Failure::usage(format!("BACKSTORY_POLL_INTERVAL is `{text}`, which is not a duration: {why}"))
            })?),
            (None, None) => profile.duration("poll_interval", profile.poll_interval.as_deref())?,
        };
        let deadline = match common.deadline {
            Some(deadline) => Some(deadline),
            None => profile.duration("deadline", profile.deadline.as_deref())?,
        };
        Ok(Self {
            base_url: BaseUrl::parse(&base_url)?,
            ca_bundle: environment
                .text("BACKSTORY_CA_BUNDLE")
                .map(PathBuf::from)
                .or(profile.ca_bundle.clone()),
            poll_interval,
            deadline,
            keys: Keys::read(environment, &profile)?,
            limits: profile.limits.unwrap_or_default().limits()?,
            resume_downloads: profile.resume_downloads.unwrap_or(false),
            now: now(environment)?,
        })
    }

    /// The client's clock.
    pub(crate) fn clock(&self) -> impl Fn() -> Timestamp + Send + Sync + use<> {
        standing_at(self.now)
    }
}

/// The use limits alone, for a plan that sends nothing and needs no key.
pub(crate) fn limits(common: &Common, environment: &Environment) -> Result<Limits, Failure> {
    file::profile(common, environment)?.limits.unwrap_or_default().limits()
}

/// Writes settings into the profile that is in use, and answers the file's path.
pub(crate) fn write_profile(
    common: &Common,
    environment: &Environment,
    settings: Vec<Setting>,
) -> Result<PathBuf, Failure> {
    let (path, profile) = file::Place::of(common, environment).to_write()?;
    write::write(&path, profile.as_deref(), settings)?;
    Ok(path)
}

/// The client's clock: the wall clock, or where `BACKSTORY_NOW` says that it stands.
pub(crate) fn clock(
    environment: &Environment,
) -> Result<impl Fn() -> Timestamp + Send + Sync + use<>, Failure> {
    Ok(standing_at(now(environment)?))
}

fn standing_at(now: Option<Timestamp>) -> impl Fn() -> Timestamp + Send + Sync + use<> {
    move || now.unwrap_or_else(Timestamp::now)
}

fn now(environment: &Environment) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = environment.text("BACKSTORY_NOW") else { return Ok(None) };
    let refuse = |_| {
        Failure::usage(format!(
            "BACKSTORY_NOW is `{text}`, which is not an instant such as 2026-03-01T12:00:00Z"
        ))
    };
    text.parse().map(Some).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::exit::Exit;

    const KEY: [(&str, &str); 2] = [("BACKSTORY_CLIENT_ID", "any"), ("BACKSTORY_CLIENT_SECRET", "hunter2")];

    fn common(config: Option<&str>, profile: Option<&str>) -> Common {
        Common {
            json: false,
            quiet: false,
            verbose: 0,
            base_url: None,
            profile: profile.map(str::to_owned),
            config: config.map(PathBuf::from),
            poll_interval: None,
            deadline: None,
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn read(text: &str, profile: Option<&str>, environment: &[(&str, &str)]) -> Result<Settings, Failure> {
        let file = file(text);
        Settings::read(&common(file.path().to_str(), profile), &Environment::of(environment))
    }

    fn id(set: Option<&KeySet>) -> &str {
        &set.unwrap().first.client_id
    }

    #[test]
    fn the_environment_stands_above_the_file_and_flags_above_both() {
        let text = "base_url = 'http://file.example'\npoll_interval = '9s'";
        let settings = read(text, None, &KEY).unwrap();
        assert_eq!(settings.base_url.as_str(), "http://file.example");
        assert_eq!(settings.poll_interval, Some(Duration::from_secs(9)));
        let environment = [("BACKSTORY_BASE_URL", "http://env.example"), ("BACKSTORY_POLL_INTERVAL", "2s")];
        let settings = read(text, None, &environment).unwrap();
        assert_eq!(settings.base_url.as_str(), "http://env.example");
        assert_eq!(settings.poll_interval, Some(Duration::from_secs(2)));
        let file = file(text);
        let mut flags = common(file.path().to_str(), None);
        flags.base_url = Some("http://flag.example".to_owned());
        let settings = Settings::read(&flags, &Environment::of(&environment)).unwrap();
        assert_eq!(settings.base_url.as_str(), "http://flag.example");
    }

    #[test]
    fn an_empty_variable_counts_as_missing() {
        let settings = read("", None, &[("BACKSTORY_BASE_URL", ""), ("BACKSTORY_CLIENT_ID", "")]).unwrap();
        assert_eq!(settings.base_url.as_str(), DEFAULT_BASE_URL);
        assert!(settings.keys.given().is_empty());
    }

    #[test]
    fn a_key_of_one_type_stands_above_the_one_for_everything() {
        let mut environment = KEY.to_vec();
        environment.extend([("BACKSTORY_ACTIVITY_CLIENT_ID", "act"), ("BACKSTORY_ACTIVITY_SECRET", "s")]);
        let settings = read("", None, &environment).unwrap();
        assert_eq!((id(settings.keys.activity()), id(settings.keys.object())), ("act", "any"));
        // The longer name of the secret works as well.
        let pair = [("BACKSTORY_OBJECT_CLIENT_ID", "obj"), ("BACKSTORY_OBJECT_CLIENT_SECRET", "s")];
        assert_eq!(id(read("", None, &pair).unwrap().keys.object()), "obj");
    }

    #[test]
    fn a_stand_by_pair_and_a_secret_file_are_found_under_either_name() {
        for (secret, stand_by) in [
            ("BACKSTORY_CLIENT_SECRET_FILE", "BACKSTORY_SECRET_2"),
            ("BACKSTORY_CLIENT_SECRET_FILE", "BACKSTORY_CLIENT_SECRET_2"),
        ] {
            let environment = [
                ("BACKSTORY_CLIENT_ID", "first"),
                (secret, "secret.txt"),
                ("BACKSTORY_CLIENT_ID_2", "second"),
                (stand_by, "s"),
            ];
            let settings = read("", None, &environment).unwrap();
            let set = settings.keys.activity().unwrap();
            assert!(matches!(&set.first.secret, SecretFrom::File(path) if path.ends_with("secret.txt")));
            assert_eq!(set.stand_by.as_ref().unwrap().client_id, "second");
        }
    }

    #[test]
    fn profiles_override_what_stands_at_the_top() {
        let text = "base_url = 'http://top.example'\n\
            client_id = 'top'\nclient_secret = 's'\n\
            [profiles.eu]\nbase_url = 'http://eu.example'\n\
            [profiles.eu.activity]\nclient_id = 'eu-act'\nclient_secret_command = ['op', 'read', 'x']";
        assert_eq!(read(text, None, &[]).unwrap().base_url.as_str(), "http://top.example");
        let settings = read(text, Some("eu"), &[]).unwrap();
        assert_eq!(settings.base_url.as_str(), "http://eu.example");
        assert_eq!((id(settings.keys.activity()), id(settings.keys.object())), ("eu-act", "top"));
        let failure = read(text, Some("us"), &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.to_string().contains("eu"), "{failure}");
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named_by_its_line_and_no_secret_is_repeated() {
        let failure =
            read("base_url = 'http://x.example'\nclient_secret = hunter2\n", None, &[]).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("line 2") && !text.contains("hunter2"), "{text}");
        let failure = read("clientid = 'x'", None, &[]).unwrap_err();
        assert!(failure.to_string().contains("clientid"), "{failure}");
    }

    #[test]
    fn limits_and_resuming_come_from_the_profile_over_the_top() {
        let text = "resume_downloads = true\n[limits]\ncontacts_days = 14\ndelta_days = 7\n\
            [profiles.eu]\nresume_downloads = false\n[profiles.eu.limits]\ncontacts_days = 30";
        let settings = read(text, None, &[]).unwrap();
        assert!(settings.resume_downloads);
        assert_eq!(settings.limits.use_limits.contacts_range.max_days(), 14);
        let settings = read(text, Some("eu"), &[]).unwrap();
        let limits = settings.limits.use_limits;
        assert!(!settings.resume_downloads);
        assert_eq!((limits.contacts_range.max_days(), limits.delta_range.max_days()), (30, 7));
        let failure = read("[limits]\ndelta_days = 0", None, &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(read("[limits]\nweeks = 2", None, &[]).unwrap_err().to_string().contains("weeks"));
    }

    #[test]
    fn settings_are_written_to_the_profile_that_is_in_use() {
        let text = "profile = 'eu'\n[profiles.eu]\nbase_url = 'http://eu.example'\n[profiles.us]\n";
        for (wanted, profile) in [(None, "eu"), (Some("us"), "us"), (Some("new"), "new")] {
            let file = file(text);
            let common = common(file.path().to_str(), wanted);
            let settings = vec![("poll_interval", "20s".into(), "seen".to_owned())];
            write_profile(&common, &Environment::of(&[]), settings).unwrap();
            let mut common = common;
            common.profile = Some(profile.to_owned());
            let settings = Settings::read(&common, &Environment::of(&[])).unwrap();
            assert_eq!(settings.poll_interval, Some(Duration::from_secs(20)), "{profile}");
        }
    }

    #[test]
    fn half_a_key_pair_says_which_half_is_missing() {
        let failure = read("", None, &[("BACKSTORY_CLIENT_ID", "x")]).unwrap_err();
        assert!(failure.to_string().contains("BACKSTORY_CLIENT_SECRET"), "{failure}");
        let failure = read("", None, &[("BACKSTORY_OBJECT_SECRET", "hunter2")]).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("BACKSTORY_OBJECT_CLIENT_ID") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn no_secret_shows_in_debug_output() {
        let settings = read("client_id_2 = 'b'\nclient_secret_2 = 'hunter3'", None, &KEY).unwrap();
        let shown = format!("{settings:?} {:?}", Environment::of(&KEY));
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn the_clock_stands_where_it_is_told_to() {
        let settings = read("", None, &[("BACKSTORY_NOW", "2026-03-01T12:00:00Z")]).unwrap();
        assert_eq!(settings.clock()().to_string(), "2026-03-01T12:00:00Z");
        assert_eq!(read("", None, &[("BACKSTORY_NOW", "noon")]).unwrap_err().exit, Exit::Usage);
    }
}
