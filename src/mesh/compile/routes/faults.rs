//! Fault injection.

use crate::mesh::route::{AbortStatus, Fault, FaultAbort, FaultDelay, PerMillion};
use crate::mesh::status::GRPC_STATUSES;
use crate::mesh::{Origin, Profile};
use crate::resource::networking::{self, HttpFaultInjection, Percent};
use crate::source::Spanned;

/// The fault of a rule; `None` if neither half can happen at all.
pub(super) fn translate(fault: &HttpFaultInjection, origin: Origin, profile: &Profile) -> Option<Fault> {
    let delay = fault.delay.as_ref().and_then(|delay| {
        let fixed = delay.fixed_delay.as_ref()?.value;
        Some(FaultDelay { fixed, share: share(delay.percentage.as_ref(), delay.percent.as_ref(), true, profile) })
    });
    let abort = fault.abort.as_ref().and_then(|abort| {
        let status = abort_status(abort)?;
        // The whole percentage of an abort left the API; a document that still has it aborts nothing.
        let share = share(abort.percentage.as_ref(), abort.percent.as_ref(), profile.whole_percentages, profile);
        Some(FaultAbort { status, share })
    });
    (delay.is_some() || abort.is_some()).then_some(Fault { delay, abort, origin })
}

fn abort_status(abort: &networking::FaultAbort) -> Option<AbortStatus> {
    if let Some(status) = &abort.http_status {
        return u16::try_from(status.value).ok().map(AbortStatus::Http);
    }
    let name = abort.grpc_status.as_ref()?;
    let number = GRPC_STATUSES.iter().position(|known| *known == name.value)?;
    u8::try_from(number).ok().map(AbortStatus::Grpc)
}

fn share(percentage: Option<&Percent>, percent: Option<&Spanned<i64>>, reads_percent: bool, profile: &Profile) -> PerMillion {
    match percentage.filter(|_| !profile.whole_percentages) {
        Some(percentage) => per_million(percentage),
        None if reads_percent => percent.map_or(PerMillion::default(), |percent| whole_percent(percent.value)),
        None => PerMillion::default(),
    }
}

/// Istio truncates to whole millionths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "truncation is the rule; `as` saturates")]
pub(super) fn per_million(percentage: &Percent) -> PerMillion {
    PerMillion((percentage.value.as_ref().map_or(0.0, |value| value.value) * 10_000.0) as u32)
}

pub(super) fn whole_percent(percent: i64) -> PerMillion {
    PerMillion(u32::try_from(percent.max(0).saturating_mul(10_000)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn percent(value: f64) -> Option<Percent> {
        Some(Percent { value: Some(Spanned::made_up(value)), ..Percent::default() })
    }

    #[test]
    fn an_abort_reads_its_whole_percentage_only_in_the_first_release() {
        let abort = networking::FaultAbort {
            http_status: Some(Spanned::made_up(503)),
            percent: Some(Spanned::made_up(100)),
            ..networking::FaultAbort::default()
        };
        let fault = HttpFaultInjection { abort: Some(abort), ..HttpFaultInjection::default() };
        for (version, share) in [("1.0", 1_000_000), ("latest", 0)] {
            let profile = Profile::of_version(version).unwrap();
            let made = translate(&fault, Origin::default(), &profile).unwrap();
            assert_eq!(made.abort.unwrap().share, PerMillion(share), "{version}");
        }
    }

    #[test]
    fn percentages_are_cut_to_millionths_and_an_empty_fault_is_none() {
        let delay = |percentage, fixed| HttpFaultInjection {
            delay: Some(networking::FaultDelay { percentage, fixed_delay: fixed, ..networking::FaultDelay::default() }),
            ..HttpFaultInjection::default()
        };
        let second = Some(Spanned::made_up(Duration::from_secs(1)));
        let latest = Profile::latest();
        let made = translate(&delay(percent(0.00019), second), Origin::default(), &latest).unwrap();
        assert_eq!(made.delay.unwrap().share, PerMillion(1));
        let made = translate(&delay(None, second), Origin::default(), &latest).unwrap();
        assert_eq!(made.delay.unwrap().share, PerMillion(0));
        assert!(translate(&delay(percent(100.0), None), Origin::default(), &latest).is_none());
    }
}
