//! `backstory completions`: a completion script for a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Exit, Failure};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  backstory completions bash > ~/.local/share/bash-completion/completions/backstory")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "backstory", &mut script);
    crate::output::bytes(&script)?;
    Ok(Exit::Done)
}
