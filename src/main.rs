//! The command line of `meshsim`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
