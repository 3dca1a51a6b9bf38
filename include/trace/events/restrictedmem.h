/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restricted memory: who uses which pages of which file, and when pages come and go. Pages and
 * ranges [start, end) are counted in pages of the file.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM restrictedmem

#if !defined(_TRACE_RESTRICTEDMEM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_RESTRICTEDMEM_H

#include <linux/fs.h>
#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(restrictedmem_page,

	TP_PROTO(const struct inode *inode, pgoff_t index, unsigned long pfn),

	TP_ARGS(inode, index, pfn),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(pgoff_t, index)
		__field(unsigned long, pfn)
	),

	TP_fast_assign(
		__entry->ino = inode->i_ino;
		__entry->index = index;
		__entry->pfn = pfn;
	),

	TP_printk("ino %lu index 0x%lx pfn 0x%lx", __entry->ino, __entry->index, __entry->pfn)
);

/* A zeroed page came into the file. */
DEFINE_EVENT(restrictedmem_page, restrictedmem_allocate,
	TP_PROTO(const struct inode *inode, pgoff_t index, unsigned long pfn),
	TP_ARGS(inode, index, pfn)
);

/* A page with a memory error left the file. */
DEFINE_EVENT(restrictedmem_page, restrictedmem_poison,
	TP_PROTO(const struct inode *inode, pgoff_t index, unsigned long pfn),
	TP_ARGS(inode, index, pfn)
);

DECLARE_EVENT_CLASS(restrictedmem_range,

	TP_PROTO(const struct inode *inode, pgoff_t start, pgoff_t end),

	TP_ARGS(inode, start, end),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(pgoff_t, start)
		__field(pgoff_t, end)
	),

	TP_fast_assign(
		__entry->ino = inode->i_ino;
		__entry->start = start;
		__entry->end = end;
	),

	TP_printk("ino %lu range 0x%lx-0x%lx", __entry->ino, __entry->start, __entry->end)
);

DEFINE_EVENT(restrictedmem_range, restrictedmem_bind,
	TP_PROTO(const struct inode *inode, pgoff_t start, pgoff_t end),
	TP_ARGS(inode, start, end)
);

DEFINE_EVENT(restrictedmem_range, restrictedmem_unbind,
	TP_PROTO(const struct inode *inode, pgoff_t start, pgoff_t end),
	TP_ARGS(inode, start, end)
);

/* A part of a punch is no longer in use. */
DEFINE_EVENT(restrictedmem_range, restrictedmem_invalidate,
	TP_PROTO(const struct inode *inode, pgoff_t start, pgoff_t end),
	TP_ARGS(inode, start, end)
);

/* The end of a punch. */
TRACE_EVENT(restrictedmem_punch,

	TP_PROTO(const struct inode *inode, pgoff_t start, pgoff_t end, unsigned long removed),

	TP_ARGS(inode, start, end, removed),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(pgoff_t, start)
		__field(pgoff_t, end)
		__field(unsigned long, removed)
	),

	TP_fast_assign(
		__entry->ino = inode->i_ino;
		__entry->start = start;
		__entry->end = end;
		__entry->removed = removed;
	),

	TP_printk("ino %lu range 0x%lx-0x%lx removed %lu", __entry->ino, __entry->start,
		  __entry->end, __entry->removed)
);

#endif /* _TRACE_RESTRICTEDMEM_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
