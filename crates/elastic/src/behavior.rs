//! From a recommended size to the size decided: tolerance, stabilization windows and rate
//! limits, computed as the horizontal pod autoscaler of Kubernetes does (`autoscaling/v2`,
//! `pkg/controller/podautoscaler/horizontal.go`).

use crate::{
    history::{GroupHistory, Sample},
    policy::{Behavior, PolicyKind, ScalingRules, SelectPolicy},
};

/// What kept a decision away from its recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The difference is within the tolerance.
    Tolerance,
    /// Not all of the window has recommended growth.
    UpWindow,
    /// Some of the window has recommended more members.
    DownWindow,
    /// Growth in the period is used up.
    UpRate,
    /// Shrinking in the period is used up.
    DownRate,
    /// Growth is switched off.
    UpDisabled,
    /// Shrinking is switched off.
    DownDisabled,
    /// The group's maximum.
    Maximum,
    /// The group's minimum.
    Minimum,
}

/// What is to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The size decided last.
    pub current: u32,
    /// The size that the demand asks for.
    pub wanted: u32,
    /// The group's minimum.
    pub min: u32,
    /// The group's maximum.
    pub max: u32,
    /// The time.
    pub now_micros: u64,
}

/// The size decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The size.
    pub desired: u32,
    /// Why it is not the recommended one.
    pub limit: Option<Limit>,
    /// When a limit of time may allow more.
    pub recheck_micros: Option<u64>,
}

/// Decides, and remembers the recommendation and the change. A size outside the bounds is first
/// brought to the nearer one, and goes on from there.
#[must_use]
pub fn decide(behavior: &Behavior, question: Question, history: &mut GroupHistory) -> Outcome {
    let Question { current, min, max, now_micros, .. } = question;
    let longest = longest_period(&behavior.scale_up).max(longest_period(&behavior.scale_down));
    let oldest = now_micros.saturating_sub(longest);
    let base = current.min(max).max(min);
    history.changed(current, base, now_micros, oldest);
    let outcome = weigh(behavior, Question { current: base, ..question }, history);
    history.changed(base, outcome.desired, now_micros, oldest);
    outcome
}

fn weigh(behavior: &Behavior, question: Question, history: &mut GroupHistory) -> Outcome {
    let Question { current, wanted, now_micros, .. } = question;
    let tolerated = within_tolerance(behavior, current, wanted);
    let recommended = if tolerated { current } else { wanted };
    let stable = stabilize(behavior, Question { wanted: recommended, ..question }, history);
    let longest = micros(behavior.scale_up.stabilization_window_seconds)
        .max(micros(behavior.scale_down.stabilization_window_seconds));
    history.recommend(recommended, now_micros, now_micros.saturating_sub(longest));
    let limited = limit_rate(behavior, Question { wanted: stable.desired, ..question }, history);
    Outcome {
        desired: limited.desired,
        limit: limited
            .limit
            .or(stable.limit)
            .or((tolerated && wanted != current).then_some(Limit::Tolerance)),
        recheck_micros: earliest(limited.recheck_micros, stable.recheck_micros),
    }
}

fn within_tolerance(behavior: &Behavior, current: u32, wanted: u32) -> bool {
    if current == 0 {
        return wanted == 0;
    }
    let ratio = f64::from(wanted) / f64::from(current);
    1.0 - behavior.scale_down.tolerance <= ratio && ratio <= 1.0 + behavior.scale_up.tolerance
}

/// The size nearest to the present one that every recommendation of the windows agrees to.
fn stabilize(behavior: &Behavior, question: Question, history: &GroupHistory) -> Outcome {
    let Question { current, wanted, now_micros, .. } = question;
    let up_window = micros(behavior.scale_up.stabilization_window_seconds);
    let down_window = micros(behavior.scale_down.stabilization_window_seconds);
    let within = |window: u64| {
        history
            .recommendations
            .iter()
            .filter(move |s| s.at_micros.saturating_add(window) > now_micros)
    };
    let up = within(up_window).map(|s| s.count).fold(wanted, u32::min);
    let down = within(down_window).map(|s| s.count).fold(wanted, u32::max);
    let desired = current.max(up).min(down);
    let (limit, recheck_micros) = if desired < wanted {
        (
            Some(Limit::UpWindow),
            first_end(within(up_window).filter(|s| s.count <= desired), up_window),
        )
    } else if desired > wanted {
        let holding = within(down_window).filter(|s| s.count >= desired);
        (Some(Limit::DownWindow), first_end(holding, down_window))
    } else {
        (None, None)
    };
    Outcome { desired, limit, recheck_micros }
}

fn first_end<'a>(samples: impl Iterator<Item = &'a Sample>, window: u64) -> Option<u64> {
    samples.map(|sample| sample.at_micros.saturating_add(window)).min()
}

/// Applies the rate limits, the minimum and the maximum.
fn limit_rate(behavior: &Behavior, question: Question, history: &GroupHistory) -> Outcome {
    let Question { current, wanted, min, max, .. } = question;
    let present = i64::from(current);
    let (bound, limit, rules) = if wanted > current {
        let most = rate_bound(&behavior.scale_up, Direction::Up, question, history).max(present);
        if i64::from(max) > most {
            (most, Limit::UpRate, &behavior.scale_up)
        } else {
            (i64::from(max), Limit::Maximum, &behavior.scale_up)
        }
    } else if wanted < current {
        let least =
            rate_bound(&behavior.scale_down, Direction::Down, question, history).min(present);
        if i64::from(min) < least {
            (least, Limit::DownRate, &behavior.scale_down)
        } else {
            (i64::from(min), Limit::Minimum, &behavior.scale_down)
        }
    } else {
        return Outcome { desired: wanted, limit: None, recheck_micros: None };
    };
    let bound = u32::try_from(bound.max(0)).unwrap_or(u32::MAX);
    let desired = if wanted > current { wanted.min(bound) } else { wanted.max(bound) };
    if desired == wanted {
        return Outcome { desired, limit: None, recheck_micros: None };
    }
    let limit = match (limit, rules.select_policy) {
        (Limit::UpRate, SelectPolicy::Disabled) => Limit::UpDisabled,
        (Limit::DownRate, SelectPolicy::Disabled) => Limit::DownDisabled,
        (limit, _) => limit,
    };
    let recheck_micros = matches!(limit, Limit::UpRate | Limit::DownRate)
        .then(|| period_end(rules, history, question.now_micros))
        .flatten();
    Outcome { desired, limit: Some(limit), recheck_micros }
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Up,
    Down,
}

/// The farthest size that the policies of one direction allow now.
fn rate_bound(
    rules: &ScalingRules,
    direction: Direction,
    question: Question,
    history: &GroupHistory,
) -> i64 {
    let present = i64::from(question.current);
    if rules.select_policy == SelectPolicy::Disabled {
        return present;
    }
    let bounds = rules.policies.iter().map(|policy| {
        let period = micros(policy.period_seconds);
        let start = present - change_within(&history.ups, period, question.now_micros)
            + change_within(&history.downs, period, question.now_micros);
        let value = i64::from(policy.value);
        match (direction, policy.kind) {
            (Direction::Up, PolicyKind::Pods) => start + value,
            (Direction::Down, PolicyKind::Pods) => start - value,
            // Rounded away from the present size, so that a small group can change at all.
            (Direction::Up, PolicyKind::Percent) => {
                (start as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64
            }
            (Direction::Down, PolicyKind::Percent) => {
                (start as f64 * (1.0 - value as f64 / 100.0)) as i64
            }
        }
    });
    let widest = (rules.select_policy == SelectPolicy::Max) == (direction == Direction::Up);
    let bound = if widest { bounds.max() } else { bounds.min() };
    bound.unwrap_or(match direction {
        Direction::Up => i64::MAX,
        Direction::Down => 0,
    })
}

fn change_within(events: &[Sample], period: u64, now_micros: u64) -> i64 {
    events
        .iter()
        .filter(|event| event.at_micros.saturating_add(period) > now_micros)
        .map(|event| i64::from(event.count))
        .sum()
}

/// When the first change leaves the first period.
fn period_end(rules: &ScalingRules, history: &GroupHistory, now_micros: u64) -> Option<u64> {
    rules
        .policies
        .iter()
        .flat_map(|policy| {
            let period = micros(policy.period_seconds);
            history.ups.iter().chain(&history.downs).map(move |event| event.at_micros + period)
        })
        .chain(rules.policies.iter().map(|policy| now_micros + micros(policy.period_seconds)))
        .filter(|end| *end > now_micros)
        .min()
}

fn longest_period(rules: &ScalingRules) -> u64 {
    rules.policies.iter().map(|policy| micros(policy.period_seconds)).max().unwrap_or(0)
}

fn micros(seconds: u32) -> u64 {
    u64::from(seconds) * 1_000_000
}

pub(crate) fn earliest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
