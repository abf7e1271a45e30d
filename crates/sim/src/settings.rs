//! How a simulator is set up: [`Builder`].

use std::net::{Ipv4Addr, SocketAddr};
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::auth::Key;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::faults::Faults;
use crate::server::Sim;
use crate::switches::{Switch, Switches};

/// The most activities, or contacts, that a world holds.
pub(crate) const MOST: u32 = 10_000_000;

/// Active key pairs, contract (a.4).
const MOST_KEYS: usize = 5;

/// Sets up a simulator; every setting has a default. See [`Sim::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start` is awaited"]
pub struct Builder {
    pub(crate) port: u16,
    pub(crate) seed: u64,
    pub(crate) activities: u64,
    pub(crate) contacts: u64,
    pub(crate) now: Option<Timestamp>,
    pub(crate) speed: Option<f64>,
    pub(crate) job_time: Option<Duration>,
    pub(crate) token_life: Duration,
    pub(crate) rate_limit: bool,
    pub(crate) keys: Vec<Key>,
    pub(crate) switches: Switches,
    pub(crate) faults: Faults,
    pub(crate) records_per_fragment: u64,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<PathBuf>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            activities: 10_000,
            contacts: 1_000,
            now: None,
            speed: None,
            job_time: None,
            token_life: Duration::from_secs(7_200),
            rate_limit: true,
            keys: Vec::new(),
            switches: Switches::default(),
            faults: Faults::none(),
            records_per_fragment: 25_000,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Builder {
    /// The port to serve on, on 127.0.0.1. 0, the default, takes one that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What the world is computed from; 1 unless said. The same seed and clock give the same data.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The size of the population of activities, from three years back to a year ahead: 0 to 10 million, 10,000 unless
    /// said. Those ahead that are not booked yet come to be as the clock moves on.
    pub fn activities(mut self, activities: u64) -> Self {
        self.activities = activities;
        self
    }

    /// The number of contacts, in the same way: 0 to 10 million, 1,000 unless said.
    pub fn contacts(mut self, contacts: u64) -> Self {
        self.contacts = contacts;
        self
    }

    /// The instant that the world's clock shows at the start; it then stands there, unless [`speed`](Self::speed) is
    /// given. Without it the clock starts at the machine's present and runs.
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// World seconds per real second; 0 is a standing clock.
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = Some(speed);
        self
    }

    /// How long each job runs. Without it the time depends on the job's size: from about a quarter of a second up.
    pub fn job_time(mut self, job_time: Duration) -> Self {
        self.job_time = Some(job_time);
        self
    }

    /// How long a token lives by the world's clock; 7200 s unless said (contract (a.1)).
    pub fn token_life(mut self, token_life: Duration) -> Self {
        self.token_life = token_life;
        self
    }

    /// Whether the rate limit of contract (j.34) is enforced: 5 requests a second, 10 at once. On unless said.
    pub fn rate_limit(mut self, on: bool) -> Self {
        self.rate_limit = on;
        self
    }

    /// Adds a key pair, one of five at most (contract (a.4)), with an id of its own. Without any there are those of [`Key::defaults`].
    pub fn key(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    /// Sets a switch; of one row the last counts.
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switches.apply(switch);
        self
    }

    /// What goes wrong, and when; nothing unless said. The plan's own switches are set as by [`switch`](Self::switch).
    pub fn faults(mut self, faults: Faults) -> Self {
        faults.switches().iter().for_each(|switch| self.switches.apply(*switch));
        self.faults = faults;
        self
    }

    /// Serves HTTPS instead of HTTP, with a certificate that is made on the spot. The certificate of its authority is
    /// written to the file `authority`, as PEM: what a client's option for a private authority takes.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, authority: impl Into<PathBuf>) -> Self {
        self.tls = Some(authority.into());
        self
    }

    /// The most records that a fragment holds; 25,000 unless said.
    pub fn records_per_fragment(mut self, records: u64) -> Self {
        self.records_per_fragment = records;
        self
    }

    /// Starts the simulator on the tokio runtime that this is awaited on; it needs the runtime's I/O and time drivers.
    ///
    /// # Errors
    /// A number out of range, or an id that two keys have ([`ErrorKind::InvalidSetting`]); a port that can't be bound
    /// ([`ErrorKind::Bind`]).
    pub async fn start(self) -> Result<Sim, Error> {
        self.check()?;
        Sim::start(self).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |why: String| Err(Error::new(ErrorKind::InvalidSetting, why));
        for (what, number) in [("activities", self.activities), ("contacts", self.contacts)] {
            if number > u64::from(MOST) {
                return refuse(format!("{number} {what} are too many: the most is {MOST}"));
            }
        }
        if let Some(now) = self.now {
            clock::check(now).or_else(refuse)?;
        }
        if let Some(speed) = self.speed
            && !(0.0..=1e7).contains(&speed)
        {
            return refuse(format!("the speed {speed} is out of range: 0 stands still, 1e7 is the most"));
        }
        if self.keys.len() > MOST_KEYS {
            return refuse(format!(
                "{} keys are too many: at most {MOST_KEYS} pairs are active",
                self.keys.len()
            ));
        }
        // Tokens name their key by its id.
        for (place, key) in self.keys.iter().enumerate() {
            if self.keys[..place].iter().any(|other| other.id() == key.id()) {
                return refuse(format!(
                    "two keys have the id `{}`: each pair has an id of its own",
                    key.id()
                ));
            }
        }
        if self.records_per_fragment == 0 {
            return refuse("a fragment holds at least one record".to_owned());
        }
        if self.token_life.as_secs() == 0 || self.token_life.as_secs() > 31_536_000 {
            return refuse("a token lives between a second and a year".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_key_is_taken_once() {
        let with = |ids: &[&str]| {
            let key = |text: &&str| text.parse::<Key>().unwrap();
            ids.iter().map(key).fold(Builder::default(), Builder::key).check()
        };
        assert!(with(&["activity:act:p:q", "object:obj:dup"]).is_ok());
        for second in ["object:act:dup", "activity:act:p:q"] {
            let error = with(&["activity:act:p:q", second]).unwrap_err();
            assert_eq!((error.kind(), error.is_usage()), (ErrorKind::InvalidSetting, true));
            assert_eq!(error.to_string(), "two keys have the id `act`: each pair has an id of its own");
        }
    }
}
