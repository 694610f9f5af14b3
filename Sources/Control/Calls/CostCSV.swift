import Kernel

/// A table of costs as RFC 4180 has it: commas, CRLF, and quotes where a cell needs them.
///
/// Names come from agents, and a spreadsheet would run `=HYPERLINK(…)` as a formula: a cell that begins like one gets
/// an apostrophe in front (OWASP, "CSV Injection"). Amounts are dollars with nine decimals, so nothing is rounded.
enum CostCSV {
    static func text(_ report: CostReport) -> String {
        var lines = [line(header(report.dimension))]
        lines += report.rows.map { line(cells($0)) }
        return lines.joined()
    }

    private static func header(_ dimension: CostDimension) -> [String] {
        [
            dimension.rawValue, "calls", "done", "failed", "canceled", "refused", "input_tokens", "cache_read_tokens",
            "cache_write_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "cost_usd", "unpriced_calls",
            "estimated_calls", "lost_retries_usd", "lost_aborted_usd", "saved_usd", "accepted_deliverables",
            "usd_per_accepted",
        ]
    }

    private static func cells(_ row: CostReport.Row) -> [String] {
        func count(_ field: CostField) -> String { String(row.sums[field]) }
        func money(_ field: CostField) -> String { dollars(row.sums[field]) }
        let counts: [CostField] = [
            .calls, .done, .failed, .canceled, .refused, .input, .cacheRead, .cacheWrite, .output, .reasoning,
        ]
        return [inert(row.name ?? "")] + counts.map(count) + [
            String(row.sums.tokens), money(.nanoUSD), count(.unpriced), count(.estimated), money(.retryNanoUSD),
            money(.abortedNanoUSD), money(.savedNanoUSD), row.accepted.map { String($0) } ?? "",
            row.nanoUSDPerAccepted.map(dollars) ?? "",
        ]
    }

    /// All nine decimals: `0.000000750`.
    static func dollars(_ nanoUSD: Int64) -> String {
        let (whole, rest) = nanoUSD.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        let decimals = String(rest)
        let padding = String(repeating: "0", count: 9 - decimals.count)
        return "\(nanoUSD < 0 ? "-" : "")\(whole).\(padding)\(decimals)"
    }

    static func line(_ cells: [String]) -> String { cells.map(quoted).joined(separator: ",") + "\r\n" }

    private static func quoted(_ cell: String) -> String {
        guard cell.utf8.contains(where: { $0 == 0x22 || $0 == 0x2C || $0 == 0x0D || $0 == 0x0A }) else { return cell }
        var text = "\""
        for scalar in cell.unicodeScalars {
            text.unicodeScalars.append(scalar)
            if scalar == "\"" { text += "\"" }
        }
        return text + "\""
    }

    /// What a spreadsheet takes for a formula, also behind spaces that it passes over, and in the wide forms that some
    /// locales take for the same.
    private static let beginnings: Set<Unicode.Scalar> = [
        "=", "+", "-", "@", "\t", "\r", "\n", "\u{FF1D}", "\u{FF0B}", "\u{FF0D}", "\u{FF20}",
    ]

    static func inert(_ text: String) -> String {
        let first = text.unicodeScalars.first { $0 != " " && $0 != "\u{A0}" && $0 != "\u{FEFF}" }
        guard let first, beginnings.contains(first) else { return text }
        return "'" + text
    }
}
