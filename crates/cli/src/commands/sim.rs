//! `backstory sim`: serves the simulator in the foreground until it is told to stop.

use std::time::Duration;

use backstory_sim::{Builder, Faults, Key, Sim, Switch};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::Offset;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::stderr;
use crate::{duration, output};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  backstory sim --port 8787 --seed 7 --activities 100000 --now 2026-06-18T12:00:00Z
  BACKSTORY_BASE_URL=http://127.0.0.1:8787 BACKSTORY_CLIENT_ID=sim-key BACKSTORY_CLIENT_SECRET=sim-secret \\
    backstory export activities --from 2026-01-01 --to 2026-06-18 --out exports")]
pub(crate) struct SimArgs {
    /// The port on 127.0.0.1; 0 takes a free one and prints the base URL alone on the first line of stdout
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// What the world is computed from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many activities the world has
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    activities: u64,
    /// How many contacts the world has
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    contacts: u64,
    /// The instant at which the world's clock stands [default: the present, and running]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<Timestamp>,
    /// World seconds per real second
    #[arg(long, value_name = "FACTOR")]
    speed: Option<f64>,
    /// How long each job runs [default: by its size]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    job_time: Option<Duration>,
    /// Whether 5 requests a second and 10 at once are enforced
    #[arg(long, value_enum, default_value = "on")]
    rate_limit: OnOff,
    /// What goes wrong: none, flaky, chaos, outage, or a TOML file of rules
    #[arg(long, value_name = "PRESET|FILE")]
    faults: Option<String>,
    /// An API key, TYPE:ID:SECRET with the type activity, object, insight or any; may be repeated [default: sim-activity,
    /// sim-object, sim-insight and sim-key, all with the secret sim-secret]
    #[arg(long = "key", value_name = "TYPE:ID:SECRET")]
    keys: Vec<String>,
    /// What to play where the contract is open: jN=VALUE, or a TOML file with a table of switches; may be repeated
    #[arg(long = "switch", value_name = "jN=VALUE|FILE")]
    switches: Vec<String>,
    /// How long a token lives by the world's clock [default: 2h]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    token_life: Option<Duration>,
    /// The most records in one fragment of a file
    #[arg(long, default_value_t = 25_000, value_name = "N")]
    records_per_fragment: u64,
    /// Serve HTTPS, with a certificate made on the spot; its authority's certificate is written to this file, for a
    /// client's BACKSTORY_CA_BUNDLE
    #[cfg(feature = "sim-tls")]
    #[arg(long, value_name = "FILE")]
    tls: Option<std::path::PathBuf>,
    /// List the switches with their values, and end
    #[arg(long)]
    list_switches: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

/// An instant, or a day, which means its midnight UTC.
fn instant(text: &str) -> Result<Timestamp, String> {
    let midnight = |day: jiff::civil::Date| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok();
    let day = || text.parse().ok().and_then(midnight);
    text.parse()
        .ok()
        .or_else(day)
        .ok_or_else(|| format!("`{text}` is not an instant such as 2026-03-01T12:00:00Z, nor a day"))
}

pub(crate) async fn run(common: &Common, args: &SimArgs) -> Result<Exit, Failure> {
    if args.list_switches {
        return list_switches(common);
    }
    let usage = |error: backstory_sim::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Failure::usage(format!("{error}{}", cause.unwrap_or_default()))
    };
    let mut builder = Sim::builder()
        .port(args.port)
        .seed(args.seed)
        .activities(args.activities)
        .contacts(args.contacts)
        .records_per_fragment(args.records_per_fragment)
        .rate_limit(args.rate_limit == OnOff::On);
    if let Some(now) = args.now {
        builder = builder.now(now);
    }
    if let Some(speed) = args.speed {
        builder = builder.speed(speed);
    }
    if let Some(job_time) = args.job_time {
        builder = builder.job_time(job_time);
    }
    for key in &args.keys {
        builder = builder.key(key.parse::<Key>().map_err(usage)?);
    }
    // A plan of faults may set switches too; those of the command line count.
    if let Some(faults) = &args.faults {
        builder = builder.faults(Faults::load(faults).map_err(usage)?);
    }
    for text in &args.switches {
        builder = Switch::load(text).map_err(usage)?.into_iter().fold(builder, Builder::switch);
    }
    if let Some(life) = args.token_life {
        builder = builder.token_life(life);
    }
    #[cfg(feature = "sim-tls")]
    if let Some(authority) = &args.tls {
        builder = builder.tls(authority);
    }
    let mut interrupts = Interrupts::watch()?;
    let sim = builder.start().await.map_err(|error| {
        let exit = if error.is_usage() { Exit::Usage } else { Exit::Failed };
        Failure::new(exit, "the simulator can't be started").with_source(error)
    })?;
    output::line(sim.base_url())?;
    if !common.quiet {
        stderr::line(
            "a simulated Backstory service; its keys unless given: sim-key with the secret sim-secret; Ctrl-C stops it",
        );
    }
    interrupts.next().await;
    sim.stop().await;
    Ok(Exit::Done)
}

fn list_switches(common: &Common) -> Result<Exit, Failure> {
    if common.json {
        let rows: Vec<_> = Switch::list()
            .iter()
            .map(|row| {
                let values: Vec<_> = row
                    .values
                    .iter()
                    .map(|(value, meaning)| serde_json::json!({"value": value, "meaning": meaning}))
                    .collect();
                serde_json::json!({"row": row.row, "about": row.about, "values": values})
            })
            .collect();
        output::json(&rows)?;
        return Ok(Exit::Done);
    }
    for row in Switch::list() {
        output::line(format!("{}  {}", row.row, row.about))?;
        for (at, (value, meaning)) in row.values.iter().enumerate() {
            let default = if at == 0 { " (default)" } else { "" };
            output::line(format!("    {}={value}{default}: {meaning}", row.row))?;
        }
    }
    Ok(Exit::Done)
}
