//! The option that chooses the release whose behaviour applies, or two of them.

use meshsim::mesh::Profile;

/// The release whose behaviour applies.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Release {
    /// Release of Istio whose behaviour applies, such as 1.1 or 1.24
    #[arg(long = "istio-version", value_name = "VERSION", default_value = "latest", value_parser = Named::parse_profile)]
    pub(crate) profile: Profile,
}

/// A release as it was typed, and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// As it was typed: what a release does may be what an earlier one began.
    pub(crate) version: String,
    /// What it means.
    pub(crate) profile: Profile,
}

impl Named {
    fn parse(text: &str) -> Result<Named, String> {
        match Profile::of_version(text) {
            Some(profile) => Ok(Named { version: text.to_owned(), profile }),
            None => Err(format!("`{text}` is no release of Istio; write `1.24` or `latest`")),
        }
    }

    fn parse_profile(text: &str) -> Result<Profile, String> {
        Named::parse(text).map(|named| named.profile)
    }
}

/// One release, or two to compare.
#[derive(Debug, Clone)]
pub(crate) enum Releases {
    /// One.
    One(Named),
    /// Two, written `A..B`.
    Two(Named, Named),
}

impl Releases {
    /// Reads `A` or `A..B`.
    pub(crate) fn parse(text: &str) -> Result<Releases, String> {
        match text.split_once("..") {
            Some((before, after)) => Ok(Releases::Two(Named::parse(before)?, Named::parse(after)?)),
            None => Named::parse(text).map(Releases::One),
        }
    }

    /// The release of each side; one release is on both.
    pub(crate) fn sides(&self) -> [&Profile; 2] {
        match self {
            Releases::One(named) => [&named.profile, &named.profile],
            Releases::Two(before, after) => [&before.profile, &after.profile],
        }
    }
}
