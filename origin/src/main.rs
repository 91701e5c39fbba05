//! The origin binary: reads the settings, opens the stores, listens, and drains when it is told to end.

use std::process::ExitCode;

use anyhow::Context;
use origin::{
    app::Origin,
    auth::Tokens,
    clock,
    config::{Cli, Settings, SettingsError, TokenOrder},
    server,
    shutdown::Signals,
    telemetry,
};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(SettingsError::Usage(usage)) => usage.exit(),
        Err(error) => return refuse(&error.into()),
    };
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    if let Some(order) = cli.token_order() {
        return print_token(&cli.settings, order);
    }
    let (role, settings) = (cli.role(), cli.settings);
    telemetry::start(&settings.service)?;
    let signals = Signals::listen().context("listening for signals")?;
    let address = settings.service.listen();
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let address = listener.local_addr()?;
    let origin = Origin::open_as(role, settings).await?;
    tracing::info!(%address, ?role, version = env!("CARGO_PKG_VERSION"), "listening");
    if !server::serve(origin, listener, signals.wanted()).await? {
        tracing::warn!("the grace has ended before everything was done");
    }
    Ok(())
}

fn print_token(settings: &Settings, order: &TokenOrder) -> anyhow::Result<()> {
    let keys = settings.access.jwt_keys().ok_or(SettingsError::NoKeys)?;
    let tokens = Tokens::open(keys.expose_secret()).context("JWT_KEYS")?;
    println!("{}", tokens.sign(&order.claims(clock::now_ms()))?);
    Ok(())
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("origin: {error:#}");
    ExitCode::FAILURE
}
