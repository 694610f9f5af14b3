import Foundation
import Kernel

/// The file of on-call on this machine.
public enum OnCallFile {
    /// The plan that the settings name; `nil` where they name none.
    ///
    /// - Parameter receivers: Where its people are told by: what it names has to be there.
    /// - Throws: ``Problem`` with each fault as `FILE:LINE:COLUMN`.
    public static func plan(_ settings: Settings.OnCall, receivers: NotificationSettings) throws -> OnCallPlan? {
        guard let file = settings.file else { return nil }
        do {
            let plan = try read(file)
            let faults = plan.needs.compactMap { need in
                receivers.lack(of: need.channel).map {
                    MarkedYAML.Fault(line: need.place.line, column: need.place.column, reason: $0)
                }
            }
            guard faults.isEmpty else { throw OnCallReader.Refusal(faults) }
            return plan
        } catch let refusal as OnCallReader.Refusal {
            let findings = refusal.faults.map { fault in
                SettingsFinding(
                    path: "oncall.file", place: "\(file):\(fault.line):\(fault.column)",
                    sentence: "\(file):\(fault)")
            }
            throw Problem(
                .invalidSettings, findings.map(\.sentence).joined(separator: "\n"),
                hint: "The file of on-call (oncall.file) is not acceptable; `reeve oncall check \(file)` judges it "
                    + "alone, `reeve settings check` together with the receivers.",
                field: "oncall.file", members: JSONObject([.init(name: "findings", value: .list(findings))]))
        }
    }

    /// - Throws: ``OnCallReader/Refusal``, also for a file that cannot be read.
    public static func read(_ file: String) throws -> OnCallPlan {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw OnCallReader.Refusal([.init(line: 1, column: 1, reason: "the file cannot be read")])
        }
        guard data.count <= OnCallReader.bytesMax, let text = String(validating: data, as: UTF8.self) else {
            throw OnCallReader.Refusal([
                .init(line: 1, column: 1, reason: "more than \(OnCallReader.bytesMax) bytes, or no UTF-8")
            ])
        }
        return try OnCallReader.read(text)
    }
}
