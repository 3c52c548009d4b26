//! The slope through points by Theil and Sen: the median of the slopes of all pairs.
//!
//! Least squares would follow a single import or a single clean-up; the median does not move before
//! a third of the points are odd. The fit is judged by medians as well: how much smaller the distances from the line
//! are than those from the middle, 1 for a line and 0 for a cloud.

/// More points than this are not needed, and pairs grow with the square.
pub const ENOUGH: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    pub slope: f64,
    /// From 0 to 1.
    pub fit: f64,
}

/// `None` for fewer than two different places on the x axis, and where the numbers are beyond counting.
pub fn trend(points: &[Point]) -> Option<Trend> {
    let slope = median(slopes(points))?;
    let rests = || points.iter().map(move |point| point.y - slope * point.x);
    let height = median(rests().collect())?;
    let off_line = median(rests().map(|rest| (rest - height).abs()).collect())?;
    let middle = median(points.iter().map(|point| point.y).collect())?;
    let off_middle = median(points.iter().map(|point| (point.y - middle).abs()).collect())?;
    let fit =
        if off_middle > 0.0 { 1.0 - off_line / off_middle } else { f64::from(u8::from(off_line == 0.0)) };
    (slope.is_finite() && fit.is_finite()).then(|| Trend { slope, fit: fit.clamp(0.0, 1.0) })
}

fn slopes(points: &[Point]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, one) in points.iter().enumerate() {
        for other in &points[index + 1..] {
            let slope = (other.y - one.y) / (other.x - one.x);
            slopes.extend(Some(slope).filter(|slope| slope.is_finite()));
        }
    }
    slopes
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(values[middle - 1], upper))
}
