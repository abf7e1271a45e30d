//! Serves a simulator until it is interrupted: `cargo run -p backstory-sim --example serve -- [ACTIVITIES [PORT]]`.

use backstory_sim::Sim;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let activities = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let port = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let sim = Sim::builder().activities(activities).port(port).rate_limit(false).start().await?;
    println!("{}", sim.base_url());
    std::future::pending::<()>().await;
    Ok(())
}
