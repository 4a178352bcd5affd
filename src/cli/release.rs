//! The option that chooses the release whose behaviour applies.

use meshsim::mesh::Profile;

/// The release whose behaviour applies.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Release {
    /// Release of Istio whose behaviour applies, such as 1.1 or 1.24
    #[arg(long = "istio-version", value_name = "VERSION", default_value = "latest", value_parser = parse)]
    pub(crate) profile: Profile,
}

fn parse(text: &str) -> Result<Profile, String> {
    Profile::of_version(text).ok_or_else(|| "not a release of Istio; write `1.24` or `latest`".to_owned())
}
