/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests on the SEV library share: assertions that print the library's
 * sentence about a failure. Include after kselftest_harness.h.
 */
#ifndef SELFTEST_KVM_SEV_TEST_H
#define SELFTEST_KVM_SEV_TEST_H

#include <errno.h>

#include "sev_guest.h"

/* An emulated host is slow, and it may be busy with something else. */
#define SEV_TEST_SECONDS	120

/*
 * For a fixture's set-up: end the test as skipped when @why is not NULL. The
 * exit status is the harness's own for this; its SKIP() alone would go on.
 */
#define SKIP_IF(why) do {						\
	const char *why_ = (why);					\
									\
	if (why_)							\
		SKIP(_exit(255), "%s", why_);				\
} while (0)

#define OK_VM(vm, call) do {						\
	int ret_ = (call);						\
									\
	ASSERT_EQ(0, ret_) TH_LOG("%s", (vm)->error);			\
} while (0)

/* The firmware was asked, and said no. */
#define REFUSED_VM(vm, status, call) do {				\
	int ret_ = (call);						\
									\
	EXPECT_EQ(-EIO, ret_) TH_LOG("%s", (vm)->error);		\
	EXPECT_EQ(status, (vm)->fw_error);				\
} while (0)

/* Run a vCPU until its next event, which must be the one given. */
#define RUN_VCPU(vcpu, event) do {					\
	struct sev_vcpu *vcpu_ = (vcpu);				\
	enum sev_event event_ = sev_vcpu_run(vcpu_, SEV_RUN_DEADLINE_MS);	\
									\
	ASSERT_EQ(SEV_EVENT_##event, event_)				\
		TH_LOG("%s: %s", sev_event_name(event_), vcpu_->vm->error);	\
} while (0)

#endif /* SELFTEST_KVM_SEV_TEST_H */
